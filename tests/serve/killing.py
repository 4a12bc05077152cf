"""Kill a process of a service under load, and see what its clients get."""

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
from tests.serve.local import fixture_job
from tests.serve.service import Process

DETECT, CLASSIFY = 1, 2
TASKS = {DETECT: "object_detection", CLASSIFY: "image_classification"}
RECOVERED = 30.0
"""Seconds after which all is well again."""
CALM = 2.0


def two_jobs(db: Database) -> None:
    """The models that the load asks for, in turn."""
    ids = [fixture_job(db, task).id for task in ("detect", "classify")]
    assert ids == [DETECT, CLASSIFY]


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


def check_killed(service: Process, kind: str) -> None:
    """Requests fail for a while, and no answer is mixed up."""
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
