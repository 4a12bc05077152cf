"""``/health/live``, ``/health/ready`` and ``/metrics``."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import APIRouter, Depends
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from snellen.adapters.errors import SnellenError
from snellen.serve.api.backend import Busy, Unavailable
from snellen.serve.api.openapi import problem_responses
from snellen.serve.api.problems import overloaded
from snellen.serve.api.schemas import HealthResponse
from snellen.serve.api.state import State, get_state
from snellen.store.jobs import count_training_jobs

router = APIRouter()
_PROBE_TIMEOUT_S = 5.0


@router.get(
    "/health/live",
    response_model=HealthResponse,
    responses=problem_responses(),
    tags=["health"],
    summary="Check liveness",
)
async def live() -> HealthResponse:
    """Return `alive` if the process responds. Needs no API key."""
    return HealthResponse(status="alive")


@router.get(
    "/health/ready",
    response_model=HealthResponse,
    responses=problem_responses(503),
    tags=["health"],
    summary="Check readiness",
)
async def ready(state: Annotated[State, Depends(get_state)]) -> HealthResponse:
    """Return `ready` if requests can be served. Needs no API key.

    That is, the models of `model.preload` are loaded, and the run tables and a model process
    respond.
    """
    after = state.config.limits.retry_after_s
    if state.admission.draining:
        raise overloaded(after, "DRAINING", "The service is being stopped.")
    if not state.preloaded:
        failure = state.preload_failure
        if failure is not None:
            raise overloaded(after, "PRELOAD_FAILED", failure)
        raise overloaded(after, "LOADING", "Models are being loaded.")
    try:
        async with asyncio.timeout(_PROBE_TIMEOUT_S):
            await _probe(state)
    except SnellenError:
        raise overloaded(after, "DATABASE", "The run tables do not respond.") from None
    except (Unavailable, Busy, TimeoutError):
        raise overloaded(after, "MODELS", "The model process does not respond.") from None
    return HealthResponse(status="ready", checks={"database": "ok", "models": "ok"})


async def _probe(state: State) -> None:
    """Probe run tables and models, one probe at a time for all requests.

    A probe holds a thread for as long as the database is locked, and requests for it need no key.
    """
    probe = state.probe
    if probe is None or probe.done():
        probe = state.probe = asyncio.create_task(_probe_once(state))
        probe.add_done_callback(lambda task: task.cancelled() or task.exception())
    await asyncio.shield(probe)


async def _probe_once(state: State) -> None:
    await asyncio.gather(run_in_threadpool(count_training_jobs, state.db), state.backend.ping())


@router.get(
    "/metrics",
    response_class=Response,
    responses={
        **problem_responses(),
        200: {"content": {"text/plain": {}}, "description": "Prometheus exposition."},
    },
    tags=["health"],
    summary="Export metrics for Prometheus",
)
async def metrics(state: Annotated[State, Depends(get_state)]) -> Response:
    """Return the metrics of this process; with several HTTP processes each has its own."""
    content, media_type = state.metrics.text()
    return Response(content, headers={"Content-Type": media_type})
