"""The FastAPI application: the same on Ray Serve and in a test without Ray."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware

from snellen.adapters.errors import SnellenError
from snellen.pipelines.planning.fingerprint import snellen_version
from snellen.serve.api import problems
from snellen.serve.api.backend import Busy, Unavailable
from snellen.serve.api.middleware import (
    Check,
    Guard,
    HeadAsGet,
    HostCheck,
    JsonLimit,
    KeyCheck,
    RoomCheck,
    loopback_hosts,
)
from snellen.serve.api.openapi import complete
from snellen.serve.api.prometheus import Measure
from snellen.serve.api.routes import health, pages, single, training_jobs
from snellen.serve.api.state import State

_DESCRIPTION = (
    "Predictions of trained vision models, one image a request. Errors are problem documents "
    "(RFC 9457) whose `code` is stable."
)
_PAUSE = 1.0


def create_app(state: State, *, keys: Sequence[str], loopback: bool) -> FastAPI:
    """Put the application together.

    Args:
        state: what the routes share.
        keys: API keys; none lets everybody in.
        loopback: only this machine can reach the listener.
    """
    config = state.config
    app = FastAPI(
        title="Snellen",
        version=snellen_version(),
        description=_DESCRIPTION,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=_lifespan(state),
    )
    app.state.snellen = state
    for module in (single, training_jobs, health, pages):
        app.include_router(module.router)
    problems.install(app, config.limits.retry_after_s)
    complete(app, keys=bool(keys))
    # The last one added is the first one that a request meets.
    timeout_s = config.limits.body_timeout_s
    app.add_middleware(JsonLimit, uploads=(single.PATH,), timeout_s=timeout_s)
    if config.security.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=config.security.cors_origins,
            allow_methods=["GET", "POST"],
            allow_headers=["Authorization", "X-API-Key"],
        )
    app.add_middleware(Guard, checks=_checks(state, keys, loopback=loopback))
    app.add_middleware(Measure, metrics=state.metrics, uploads=(single.PATH,))
    app.add_middleware(HeadAsGet)
    return app


def _checks(state: State, keys: Sequence[str], *, loopback: bool) -> list[Check]:
    security = state.config.security
    hosts: tuple[str, ...] = security.allowed_hosts
    if hosts or loopback:
        hosts = (*hosts, *loopback_hosts())  # by which health is asked for on this machine
    room = RoomCheck(state.admission, (single.PATH,))
    return [HostCheck(hosts, security.cors_origins), KeyCheck(keys), room]


def _lifespan(state: State) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        task = asyncio.create_task(preload(state))
        yield
        task.cancel()

    return lifespan


async def preload(state: State) -> None:
    """Load what the configuration names; until all of it is there the service is not ready."""
    for wanted in state.config.preload:
        while not await _loaded(state, wanted.job, str(wanted.checkpoint)):
            await asyncio.sleep(_PAUSE)
    state.preloaded = True


async def _loaded(state: State, job: int | str, checkpoint: str) -> bool:
    try:
        resolved = await asyncio.to_thread(state.resolver.resolve, job, checkpoint)
        answer = await state.backend.preload(resolved.model)
    except SnellenError as error:
        return _failed(state, job, error.code, error.message)
    except (Unavailable, Busy):
        return False
    if answer.failure is not None:
        return _failed(state, job, answer.failure.code, answer.failure.message)
    return True


def _failed(state: State, job: int | str, code: str, message: str) -> bool:
    if state.preload_failure is None:
        problems.log.error("preload of job %s: %s: %s", job, code, message)
    state.preload_failure = code
    return False
