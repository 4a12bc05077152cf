"""What the routes of one process share."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from pathlib import Path

from anyio import CapacityLimiter
from starlette.requests import Request

from snellen.serve.api.admission import Admission
from snellen.serve.api.backend import Backend
from snellen.serve.api.cache import AnswerCache
from snellen.serve.api.model_resolver import ModelResolver
from snellen.serve.api.prometheus import Metrics
from snellen.serve.api.recording import Recorder
from snellen.serve.config import ServeConfig
from snellen.store.sql.database import Database

_RECORDING = 4
"""Who waits for a locked database must not take the threads that other requests need. SQLite
takes one writer at a time anyway."""


@dataclass(slots=True)
class State:
    """Everything below the routes.

    ``preloaded`` turns true once, when all that is to be loaded is; until then
    ``preload_failure`` is the code of the last attempt that failed. ``recording`` are the threads
    that write to the run tables, ``probe`` is the look at them that ``/health/ready`` has under
    way.
    """

    config: ServeConfig
    db: Database
    backend: Backend
    admission: Admission
    metrics: Metrics
    resolver: ModelResolver
    recorder: Recorder
    cache: AnswerCache
    preloaded: bool = False
    preload_failure: str | None = None
    recording: CapacityLimiter = field(default_factory=lambda: CapacityLimiter(_RECORDING))
    probe: asyncio.Task[None] | None = None


def make_state(config: ServeConfig, db: Database, backend: Backend, root: Path) -> State:
    """The state of a process.

    Args:
        config: of the service.
        db: the open run tables.
        backend: the models.
        root: folder of the runs, for recorded pictures.
    """
    admission = Admission(config.limits)
    return State(
        config=config,
        db=db,
        backend=backend,
        admission=admission,
        metrics=Metrics(admission),
        resolver=ModelResolver(db, config.model),
        recorder=Recorder(db, root),
        cache=AnswerCache(config.cache_bytes),
    )


async def state_of(request: Request) -> State:
    """The state, for ``Depends``, which would give a plain function a thread for each request."""
    state: State = request.app.state.snellen
    return state
