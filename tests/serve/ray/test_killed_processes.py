"""Killed processes of ``snellen serve``: errors for a limited time, never a wrong response."""

from __future__ import annotations

import io
import time
from collections.abc import Iterator

import httpx
import numpy as np
import pytest
from PIL import Image

from snellen.store.sql.database import Database
from tests.serve import crashing_adapter
from tests.serve.conftest import picture
from tests.serve.kill_under_load import DETECT, RECOVERED, check_killed, two_jobs
from tests.serve.local_service import add_job
from tests.serve.serve_process import Process

pytestmark = [pytest.mark.ray, pytest.mark.slow]
CRASHING = 3


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    root = tmp_path_factory.mktemp("killed")
    weights = root / "none.bin"
    weights.write_bytes(b"no weights")
    db = Database.open(f"sqlite:///{root / 'runs' / 'snellen.db'}")
    two_jobs(db)
    crashing = add_job(
        db,
        "crashing",
        weights,
        framework=crashing_adapter.NAME,
        task_type="image_classification",
        model_name="pixel",
        num_classes=3,
    )
    db.close()
    assert crashing.id == CRASHING
    process = Process(root, "ray.num_cpus=2", "model.preload=[{job: 1}, {job: 2}]")
    process.wait_ready()
    yield process
    process.end()


def test_a_killed_http_process_is_replaced(service: Process) -> None:
    check_killed(service, "ray::ServeReplica:snellen:Ingress")


def predict(service: Process, *, kill: bool) -> httpx.Response:
    pixels = np.full((20, 30, 3), 90, np.uint8)
    if kill:
        pixels[0, 0] = crashing_adapter.KILL
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return service.single(stream.getvalue(), CRASHING)


def test_an_image_that_kills_its_process(service: Process) -> None:
    assert predict(service, kill=False).status_code == 200
    response = predict(service, kill=True)
    killed = time.monotonic()
    assert (response.status_code, response.json()["code"]) == (503, "WORKER_DIED")
    assert response.headers["retry-after"].isdecimal()
    while (again := predict(service, kill=False)).status_code != 200:
        assert again.status_code == 503, again.text
        assert time.monotonic() - killed < RECOVERED
        time.sleep(0.2)
    assert service.single(picture(), DETECT).status_code == 200
