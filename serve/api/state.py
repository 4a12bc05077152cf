"""Objects that the routes of one process share."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from pathlib import Path

from anyio import CapacityLimiter
from starlette.requests import Request

from snellen.serve.api.backend import Backend
from snellen.serve.api.cache import ReplyCache
from snellen.serve.api.middleware.admission import Admission
from snellen.serve.api.model_resolver import ModelResolver
from snellen.serve.api.prometheus import Metrics
from snellen.serve.api.recording.recorder import Recorder
from snellen.serve.api.runs.images import RunPages
from snellen.serve.api.runs.picture_cache import FOLDER, PictureCache
from snellen.serve.api.runs.pictures import Pictures
from snellen.serve.api.runs.progress import Progress
from snellen.serve.api.runs.request_settings import Place
from snellen.serve.api.runs.submission import Submission
from snellen.serve.config import ServeConfig
from snellen.store.sql.database import Database

_RECORDING_THREADS = 4
"""Requests that wait for a locked database must not take the threads that others need. SQLite
has one writer at a time anyway."""
_SUBMITTING, _DRAWING = 2, 4


@dataclass(slots=True)
class State:
    """Everything below the routes.

    Attributes:
        preloaded: all models of ``model.preload`` are loaded; never turns false again.
        preload_failure: the entry of ``model.preload`` that failed last, with its error code.
        recording: limits the threads that write to the run tables.
        probe: the readiness probe in progress, shared by all requests for ``/health/ready``.
        submitting: limits the threads that check submitted runs, which may load a checkpoint.
        streams: number of open event streams.
        uploading: number of batches that are being received.
        drawing: limits the threads that decode and draw images.
    """

    config: ServeConfig
    db: Database
    backend: Backend
    admission: Admission
    metrics: Metrics
    resolver: ModelResolver
    recorder: Recorder
    cache: ReplyCache
    place: Place
    submission: Submission
    progress: Progress
    pages: RunPages
    pictures: Pictures
    preloaded: bool = False
    preload_failure: str | None = None
    recording: CapacityLimiter = field(default_factory=lambda: CapacityLimiter(_RECORDING_THREADS))
    probe: asyncio.Task[None] | None = None
    submitting: CapacityLimiter = field(default_factory=lambda: CapacityLimiter(_SUBMITTING))
    streams: int = 0
    uploading: int = 0
    drawing: CapacityLimiter = field(default_factory=lambda: CapacityLimiter(_DRAWING))


def make_state(config: ServeConfig, db: Database, backend: Backend, root: Path) -> State:
    """Create the state of a process.

    Args:
        config: configuration of the service.
        db: the open run tables.
        backend: the models.
        root: folder of the runs, for annotated images of recorded requests.
    """
    admission = Admission(config.limits)
    place = Place(db, config.roots, str(root.absolute()))
    pages = RunPages(db)
    cache = PictureCache(root / FOLDER, config.picture_cache_bytes)
    return State(
        config=config,
        db=db,
        backend=backend,
        admission=admission,
        metrics=Metrics(admission),
        resolver=ModelResolver(db, config.model),
        recorder=Recorder(db, root),
        cache=ReplyCache(config.cache_bytes),
        place=place,
        submission=Submission(place),
        progress=Progress(db),
        pages=pages,
        pictures=Pictures(place, pages, cache),
    )


async def get_state(request: Request) -> State:
    """Return the state, as a dependency; FastAPI would run a plain function in a thread."""
    state: State = request.app.state.snellen
    return state
