"""The application on its own event loop, for synchronous generators of requests."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Coroutine, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import httpx

import snellen
from snellen.store.service.analyses import create_analysis
from snellen.store.service.reviews import add_review
from snellen.store.sql.database import Database
from tests.pipelines.making import grey_folder
from tests.serve.local_service import Service, fixture_job, served

T = TypeVar("T")
DETECT, CLASSIFY = 1, 2
"""Ids of the training jobs."""


class Portal:
    """A running application that other threads may send requests to."""

    def __init__(self, service: Service, loop: asyncio.AbstractEventLoop) -> None:
        self.service = service
        self._loop = loop

    def call(self, work: Coroutine[Any, Any, T]) -> T:
        """Run ``work`` on the loop of the application, and return its result."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(120)

    def send(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str] | Mapping[bytes, bytes] | None = None,
        content: bytes = b"",
    ) -> httpx.Response:
        """Send one request; the path is sent unchanged."""
        client = self.service.client
        return self.call(client.request(method, url, headers=headers, content=content))


def fill(db: Database, folder: Path) -> None:
    """Make a test run, an inference job, a comparison and a review, each with the id 1."""
    images = grey_folder(folder / "images", ("circle", "square", "triangle"), each=1)
    common: dict[str, Any] = {
        "model": {"job": "tiny-classify"},
        "dataset": {"path": str(images)},
        "run": {"engine": "inline"},
        "output": {"dir": str(folder / "runs")},
        "database": db.url,
    }
    run = snellen.evaluate({**common, "metrics": {"bootstrap": 0}})
    job = snellen.predict(common)
    analysis = create_analysis(db, "comparison", "test_run", [run.id, run.id], {})
    review = {"dataset": "d", "image_id": "i", "kind": "image", "status": "unclear"}
    assert (run.id, job.id, analysis.id, add_review(db, review).id) == (1, 1, 1, 1)


@contextmanager
def portal(folder: Path, *, filled: bool = False, **settings: Any) -> Iterator[Portal]:
    """Serve a tiny detector and a tiny classifier until the block ends.

    Args:
        folder: of the run tables.
        filled: with runs; see `fill`.
        settings: of the service.
    """
    db = Database.open(f"sqlite:///{folder / 'runs.db'}")
    ids = [fixture_job(db, task).id for task in ("detect", "classify")]
    assert ids == [DETECT, CLASSIFY]
    if filled:
        fill(db, folder)
    opened: list[Portal] = []
    ready, over = threading.Event(), asyncio.Event()

    async def run() -> None:
        try:
            async with served(db, folder / "runs", **settings) as service:
                # Keeping thousands of requests would look like a memory leak.
                service.backend.requests = deque(maxlen=1)
                opened.append(Portal(service, asyncio.get_running_loop()))
                ready.set()
                await over.wait()
        finally:
            ready.set()

    thread = threading.Thread(target=asyncio.run, args=(run(),), daemon=True)
    thread.start()
    ready.wait(60)
    (running,) = opened
    try:
        yield running
    finally:
        running._loop.call_soon_threadsafe(over.set)
        thread.join(60)
        db.close()
