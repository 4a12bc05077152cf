"""On a Ray that runs already, Ray Serve's proxy listens in front of what speaks HTTP."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from snellen.store.sql.database import Database
from tests.serve.killing import check_killed, two_jobs
from tests.serve.service import Cluster, Process

pytestmark = [pytest.mark.ray, pytest.mark.slow]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    root = tmp_path_factory.mktemp("cluster")
    db = Database.open(f"sqlite:///{root / 'runs' / 'snellen.db'}")
    two_jobs(db)
    db.close()
    with Cluster(root) as cluster:
        words = (f"ray.address={cluster.address}", "preload=[{job: 1}, {job: 2}]")
        process = Process(root, *words, cluster=cluster)
        process.wait_ready()
        yield process
        assert process.end() == 0, process.lines
        assert cluster.alive  # it is not the service's to end


@pytest.mark.parametrize("kind", ["ray::ProxyActor", "ray::ServeReplica:snellen:Ingress"])
def test_a_process_in_front_of_the_models_is_killed(kind: str, service: Process) -> None:
    check_killed(service, kind)
