"""``/health/live``, ``/health/ready`` and ``/metrics``."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import APIRouter, Depends
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from snellen.adapters.errors import SnellenError
from snellen.serve.api.backend import Busy, Unavailable
from snellen.serve.api.openapi import problems as documented
from snellen.serve.api.problems import overloaded
from snellen.serve.api.schemas import HealthResponse
from snellen.serve.api.state import State, state_of
from snellen.store.jobs import count_training_jobs

router = APIRouter()
_SECONDS = 5.0


@router.get(
    "/health/live",
    response_model=HealthResponse,
    responses=documented(),
    tags=["health"],
    summary="Whether the process answers.",
)
async def live() -> HealthResponse:
    """Always `alive`; needs no key."""
    return HealthResponse(status="alive")


@router.get(
    "/health/ready",
    response_model=HealthResponse,
    responses=documented(503),
    tags=["health"],
    summary="Whether requests can be answered.",
)
async def ready(state: Annotated[State, Depends(state_of)]) -> HealthResponse:
    """`ready` when the run tables and a model process answer, and all that is to be preloaded
    is loaded. Needs no key.
    """
    after = state.config.limits.retry_after_s
    if state.admission.draining:
        raise overloaded(after, "DRAINING", "The service is being stopped.")
    if not state.preloaded:
        failure = state.preload_failure
        if failure is not None:
            raise overloaded(after, "PRELOAD_FAILED", f"A model cannot be loaded: {failure}.")
        raise overloaded(after, "LOADING", "Models are being loaded.")
    try:
        async with asyncio.timeout(_SECONDS):
            await _probed(state)
    except SnellenError:
        raise overloaded(after, "DATABASE", "The run tables do not answer.") from None
    except (Unavailable, Busy, TimeoutError):
        raise overloaded(after, "MODELS", "The model process does not answer.") from None
    return HealthResponse(status="ready", checks={"database": "ok", "models": "ok"})


async def _probed(state: State) -> None:
    """One look at a time, however many ask: each takes a thread for as long as a database is
    locked, and nobody needs a key to ask.
    """
    probe = state.probe
    if probe is None or probe.done():
        probe = state.probe = asyncio.create_task(_look(state))
        probe.add_done_callback(lambda task: task.cancelled() or task.exception())
    await asyncio.shield(probe)


async def _look(state: State) -> None:
    await asyncio.gather(run_in_threadpool(count_training_jobs, state.db), state.backend.ping())


@router.get(
    "/metrics",
    response_class=Response,
    responses={
        **documented(),
        200: {"content": {"text/plain": {}}, "description": "Prometheus's exposition."},
    },
    tags=["health"],
    summary="Counters for Prometheus.",
)
async def metrics(state: Annotated[State, Depends(state_of)]) -> Response:
    """Of this process; where several speak HTTP, each has its own."""
    content, media_type = state.metrics.text()
    return Response(content, headers={"Content-Type": media_type})
