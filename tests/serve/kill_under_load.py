"""Kill a process of a service under load, and check the responses that clients get."""

from __future__ import annotations

import itertools
import os
import signal
import threading
import time
from dataclasses import dataclass

import httpx

from snellen.store.sql.database import Database
from tests.serve.conftest import picture
from tests.serve.local_service import fixture_job
from tests.serve.serve_process import Process

DETECT, CLASSIFY = 1, 2
TASKS = {DETECT: "object_detection", CLASSIFY: "image_classification"}
RECOVERED = 30.0
"""Time after which all requests succeed again, in seconds."""
CALM = 2.0
"""Time without an error after which the service counts as recovered, in seconds."""


def two_jobs(db: Database) -> None:
    """Register the two models that the load requests in turn."""
    ids = [fixture_job(db, task).id for task in ("detect", "classify")]
    assert ids == [DETECT, CLASSIFY]


@dataclass(frozen=True, slots=True)
class Observation:
    """A response.

    Attributes:
        at: time of its arrival (``time.monotonic``).
        status: HTTP status; 0 if the connection broke.
        mismatch: difference from the request, or an empty text.
    """

    at: float
    status: int
    mismatch: str


class Load:
    """Clients in a loop; each request has another name, image size and model."""

    def __init__(self, service: Process, clients: int = 3) -> None:
        self.observations: list[Observation] = []
        self._service = service
        self._stop = threading.Event()
        self._numbers = itertools.count(1)
        self._threads = [threading.Thread(target=self._run) for _ in range(clients)]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(60)

    def _run(self) -> None:
        with httpx.Client(timeout=30) as client:
            while not self._stop.is_set():
                number = next(self._numbers)
                self.observations.append(self._request(client, number))
                time.sleep(0.05)

    def _request(self, client: httpx.Client, number: int) -> Observation:
        job, size = 1 + number % 2, (100 + number % 97, 90 + number % 89)
        name = f"{number}.png"
        try:
            response = client.post(
                f"{self._service.url}/inference/single",
                files={"image": (name, picture(size=size))},
                data={"training_job_id": str(job)},
            )
        except httpx.TransportError:
            return Observation(time.monotonic(), 0, "")
        if response.status_code != 200:
            return Observation(time.monotonic(), response.status_code, "")
        body = response.json()
        received = (body["image_name"], body["training_job_id"], body["width"], body["height"])
        sent = (name, job, *size)
        matches = received == sent and body["task_type"] == TASKS[job]
        return Observation(time.monotonic(), 200, "" if matches else f"{received} for {sent}")

    def wait_calm(self, since: float) -> float:
        """Wait until only 200 arrives; return seconds from ``since`` to the last error."""
        while time.monotonic() - since < RECOVERED + 10:
            time.sleep(0.2)
            now = time.monotonic()
            recent = [one.status for one in self.observations if one.at > now - CALM]
            if now - since > CALM and len(recent) > 5 and set(recent) == {200}:
                errors = (one.at for one in self.observations if one.status != 200)
                return max(errors, default=since) - since
        raise AssertionError(self.observations[-20:])


def check_killed(service: Process, kind: str) -> None:
    """Check that requests fail for a limited time, and that no response is mixed up."""
    with Load(service) as load:
        load.wait_calm(time.monotonic())
        (victim,) = service.processes(kind)
        killed = time.monotonic()
        os.kill(victim.pid, signal.SIGKILL)
        took = load.wait_calm(killed)
        (successor,) = service.processes(kind)
    assert successor.pid != victim.pid
    assert took < RECOVERED
    assert {one.status for one in load.observations if one.at < killed} == {200}
    assert {one.status for one in load.observations} <= {0, 200, 500, 503}
    assert [one.mismatch for one in load.observations if one.mismatch] == []
