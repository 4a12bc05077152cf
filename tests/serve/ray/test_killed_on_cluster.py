"""On an existing Ray, where Ray Serve's proxy listens in front of the HTTP processes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from snellen.store.sql.database import Database
from tests.ray_cluster import Cluster
from tests.serve.kill_under_load import check_killed, two_jobs
from tests.serve.serve_process import Process

pytestmark = [pytest.mark.ray, pytest.mark.slow]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    root = tmp_path_factory.mktemp("cluster")
    db = Database.open(f"sqlite:///{root / 'runs' / 'snellen.db'}")
    two_jobs(db)
    db.close()
    with Cluster(root) as cluster:
        words = (f"ray.address={cluster.address}", "model.preload=[{job: 1}, {job: 2}]")
        process = Process(root, *words, cluster=cluster)
        process.wait_ready()
        yield process
        assert process.end() == 0, process.lines
        assert cluster.alive  # the service must not stop it


@pytest.mark.parametrize("kind", ["ray::ProxyActor", "ray::ServeReplica:snellen:Ingress"])
def test_a_killed_process_in_front_of_the_models_is_replaced(kind: str, service: Process) -> None:
    check_killed(service, kind)
