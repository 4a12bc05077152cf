"""The FastAPI application, used on Ray Serve and in tests without Ray."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from pathlib import Path

from fastapi import Depends, FastAPI
from starlette.middleware.cors import CORSMiddleware

from snellen.pipelines.planning.fingerprint import snellen_version
from snellen.serve.api import problems
from snellen.serve.api.bodies.json_syntax import check_json
from snellen.serve.api.middleware.access_log import AccessLog
from snellen.serve.api.middleware.admission import AdmissionCheck
from snellen.serve.api.middleware.api_keys import ApiKeyCheck, KnownKeys
from snellen.serve.api.middleware.body_limit import BodyLimit
from snellen.serve.api.middleware.guard import Check, Guard
from snellen.serve.api.middleware.head_requests import HeadAsGet
from snellen.serve.api.middleware.headers import SecurityHeaders
from snellen.serve.api.middleware.hosts import LOOPBACK_HOSTS, HostCheck
from snellen.serve.api.middleware.path_prefix import PathPrefix
from snellen.serve.api.middleware.request_metrics import RequestMetrics
from snellen.serve.api.middleware.web_sessions import WebSessions
from snellen.serve.api.open_inference import endpoints
from snellen.serve.api.open_inference.bodies import InferBody
from snellen.serve.api.open_inference.error_format import ProtocolErrors
from snellen.serve.api.openapi import customize_openapi
from snellen.serve.api.preload import preload
from snellen.serve.api.recording.housekeeping import repeat_hourly
from snellen.serve.api.recording.retention import sweep_and_log
from snellen.serve.api.routes import (
    analyses,
    batch,
    datasets,
    health,
    inference_jobs,
    pages,
    run_images,
    single,
    tags_and_reviews,
    test_runs,
    training_jobs,
)
from snellen.serve.api.state import State
from snellen.serve.api.uploads.stored_files import sweep_received

_DESCRIPTION = (
    "Predictions of trained vision models, one image per request. Errors are problem documents "
    "(RFC 9457) with a stable `code`. Every response has the header `X-Request-ID`, with the value "
    "of the request if it has one."
)
_SWEPT_AFTER_S = 3600.0
_ROUTES = (
    *(single, endpoints, batch, training_jobs, test_runs, run_images, inference_jobs),
    *(datasets, tags_and_reviews, analyses, health, pages),
)


def create_app(
    state: State, *, keys: Sequence[str], loopback: bool, proxied: bool = False
) -> FastAPI:
    """Create the application.

    Args:
        state: objects that the routes share.
        keys: API keys; empty accepts every request.
        loopback: only this machine can reach the listener.
        proxied: requests come through a proxy of Ray Serve, which adds ``X-Request-ID``.
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
    sessions = WebSessions(state.db, KnownKeys(keys))
    app.state.web_sessions = sessions
    for module in _ROUTES:
        app.include_router(module.router, dependencies=[Depends(check_json)])
    problems.install(app, config.limits.retry_after_s)
    customize_openapi(app, keys=bool(keys), bodies=(InferBody,))
    # Middleware added last runs first.
    timeout_s = config.limits.body_timeout_s
    app.add_middleware(BodyLimit, others=(batch.PATH,), timeout_s=timeout_s)
    if config.security.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=config.security.cors_origins,
            allow_methods=["GET", "POST", "PUT", "DELETE"],
            allow_headers=["Authorization", "X-API-Key", "X-Request-ID"],
            expose_headers=["X-Request-ID"],
        )
    app.add_middleware(Guard, checks=_checks(state, sessions, loopback=loopback))
    app.add_middleware(SecurityHeaders)
    app.add_middleware(RequestMetrics, metrics=state.metrics)
    app.add_middleware(ProtocolErrors)
    app.add_middleware(HeadAsGet)
    if config.root_path:
        app.add_middleware(PathPrefix, root_path=config.root_path)
    app.add_middleware(AccessLog, sends_id=not proxied)
    return app


def _checks(state: State, sessions: WebSessions, *, loopback: bool) -> list[Check]:
    security = state.config.security
    hosts: tuple[str, ...] = security.allowed_hosts
    if hosts or loopback:
        hosts = (*hosts, *LOOPBACK_HOSTS)  # health checks on this machine use them
    admission = AdmissionCheck(state.admission)
    keys = ApiKeyCheck(sessions.keys, sessions.key_of, open_docs=security.open_docs)
    return [HostCheck(hosts, security.cors_origins), keys, admission]


def _lifespan(state: State) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        root = Path(state.place.output_dir)
        age_s = state.config.limits.upload_timeout_s + _SWEPT_AFTER_S
        await asyncio.to_thread(sweep_received, root, age_s)
        sweeping = partial(sweep_and_log, state.db, root, state.config.retention)
        hourly = repeat_hourly(sweeping, state.pictures.forget_deleted)
        tasks = [asyncio.create_task(work) for work in (preload(state), hourly)]
        yield
        for task in tasks:
            task.cancel()

    return lifespan
