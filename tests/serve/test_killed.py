"""Processes of ``snellen serve`` that die under load: errors for a while, never a wrong answer."""

from __future__ import annotations

import io
import itertools
import os
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

import httpx
import numpy as np
import pytest
from PIL import Image

from store.database import Database
from store.jobs import upsert_training_job
from tests.serve import deadly_adapter
from tests.serve.conftest import picture
from tests.serve.local import fixture_job
from tests.serve.service import Process

pytestmark = [pytest.mark.ray, pytest.mark.slow]
DETECT, CLASSIFY, DEADLY = 1, 2, 3
TASKS = {DETECT: "object_detection", CLASSIFY: "image_classification"}
RECOVERED = 30.0
"""Seconds after which all is well again."""
CALM = 2.0


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    root = tmp_path_factory.mktemp("killed")
    weights = root / "none.bin"
    weights.write_bytes(b"no weights")
    db = Database.open(f"sqlite:///{root / 'runs' / 'snellen.db'}")
    ids = [fixture_job(db, task).id for task in ("detect", "classify")]
    deadly = upsert_training_job(
        db, name="deadly", framework=deadly_adapter.NAME, task_type="image_classification",
        model_name="pixel", output_dir=str(weights), class_names=None, num_classes=3, config=None,
    )  # fmt: skip
    db.close()
    assert [*ids, deadly.id] == [DETECT, CLASSIFY, DEADLY]
    process = Process(root, "ray.num_cpus=2", "preload=[{job: 1}, {job: 2}]")
    process.wait_ready()
    yield process
    process.end()


@dataclass(frozen=True, slots=True)
class Seen:
    """An answer: when it came, its status (0: the connection broke), what is wrong with it."""

    at: float
    status: int
    wrong: str


class Load:
    """Clients that go on asking, each time with another name, size and model."""

    def __init__(self, service: Process, clients: int = 3) -> None:
        self.seen: list[Seen] = []
        self._service = service
        self._over = threading.Event()
        self._numbers = itertools.count(1)
        self._threads = [threading.Thread(target=self._ask) for _ in range(clients)]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(60)

    def _ask(self) -> None:
        with httpx.Client(timeout=30) as client:
            while not self._over.is_set():
                number = next(self._numbers)
                self.seen.append(self._one(client, number))
                time.sleep(0.05)

    def _one(self, client: httpx.Client, number: int) -> Seen:
        job, size = 1 + number % 2, (100 + number % 97, 90 + number % 89)
        name = f"{number}.png"
        try:
            answer = client.post(
                f"{self._service.url}/inference/single",
                files={"image": (name, picture(size=size))},
                data={"training_job_id": str(job)},
            )
        except httpx.TransportError:
            return Seen(time.monotonic(), 0, "")
        if answer.status_code != 200:
            return Seen(time.monotonic(), answer.status_code, "")
        body = answer.json()
        told = (body["image_name"], body["training_job_id"], body["width"], body["height"])
        asked = (name, job, *size)
        fits = told == asked and body["task_type"] == TASKS[job]
        return Seen(time.monotonic(), 200, "" if fits else f"{told} for {asked}")

    def wait_calm(self, since: float) -> float:
        """Until nothing but 200 has come for a while; seconds from ``since`` to the last error."""
        while time.monotonic() - since < RECOVERED + 10:
            time.sleep(0.2)
            now = time.monotonic()
            late = [one.status for one in self.seen if one.at > now - CALM]
            if now - since > CALM and len(late) > 5 and set(late) == {200}:
                return max((o.at for o in self.seen if o.status != 200), default=since) - since
        raise AssertionError(self.seen[-20:])


@pytest.mark.parametrize("kind", ["ray::ProxyActor", "ray::ServeReplica:snellen:Ingress"])
def test_a_process_that_speaks_http_is_killed(kind: str, service: Process) -> None:
    with Load(service) as load:
        load.wait_calm(time.monotonic())
        (victim,) = service.processes(kind)
        killed = time.monotonic()
        os.kill(victim.pid, signal.SIGKILL)
        took = load.wait_calm(killed)
        (successor,) = service.processes(kind)
    assert successor.pid != victim.pid
    assert took < RECOVERED
    assert {one.status for one in load.seen if one.at < killed} == {200}
    assert {one.status for one in load.seen} <= {0, 200, 500, 503}
    assert [one.wrong for one in load.seen if one.wrong] == []


def deadly(service: Process, *, kill: bool) -> httpx.Response:
    pixels = np.full((20, 30, 3), 90, np.uint8)
    if kill:
        pixels[0, 0] = deadly_adapter.KILL
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return service.single(stream.getvalue(), DEADLY)


def test_an_image_that_kills_its_process(service: Process) -> None:
    assert deadly(service, kill=False).status_code == 200
    answer = deadly(service, kill=True)
    killed = time.monotonic()
    assert (answer.status_code, answer.json()["code"]) == (503, "WORKER_DIED")
    assert answer.headers["retry-after"].isdecimal()
    while (again := deadly(service, kill=False)).status_code != 200:
        assert again.status_code == 503, again.text
        assert time.monotonic() - killed < RECOVERED
        time.sleep(0.2)
    assert service.single(picture(), DETECT).status_code == 200
