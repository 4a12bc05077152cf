"""Run a model on one image of a request: the common part of the routes that predict at once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from anyio import to_thread
from starlette.concurrency import run_in_threadpool

from snellen.adapters.types import ImageStatus, InferenceResult
from snellen.serve.api import problems
from snellen.serve.api.backend import Busy, Unavailable
from snellen.serve.api.job_selection import JobSelection
from snellen.serve.api.model_resolver import ResolvedModel
from snellen.serve.api.responses import RecordedRequest
from snellen.serve.api.state import State
from snellen.serve.inference.messages import InferenceReply, InferenceRequest
from snellen.store.sql.columns import utc_now

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class SentImage:
    """An image of a request, and what to do with it.

    Attributes:
        data: bytes of the image file.
        name: display name.
        confidence: confidence threshold of detections; None keeps the model's setting.
        visualize: also draw the result.
        explain: also explain the predicted class.
        record: store the request in the run tables; None takes the service's setting.
    """

    data: bytes
    name: str
    confidence: float | None = None
    visualize: bool = False
    explain: bool = False
    record: bool | None = None


@dataclass(frozen=True, slots=True)
class Predicted:
    """The prediction for an image.

    Attributes:
        reply: with a result whose status is ok.
        model: the model that made it.
        created_at: time of the prediction (UTC).
        recorded: the request in the run tables, if it was recorded.
    """

    reply: InferenceReply
    model: ResolvedModel
    created_at: datetime
    recorded: RecordedRequest | None

    @property
    def result(self) -> InferenceResult:
        """The result of the model."""
        assert self.reply.result is not None
        return self.reply.result


async def in_time(state: State, work: Awaitable[T]) -> T:
    """Await predictions. Raises Problem (503) after ``limits.request_timeout_s`` seconds."""
    limits = state.config.limits
    try:
        async with asyncio.timeout(limits.request_timeout_s):
            return await work
    except TimeoutError:
        raise problems.overloaded(
            limits.retry_after_s,
            "REQUEST_TIMEOUT",
            f"The prediction took longer than {limits.request_timeout_s:g} s "
            "(limits.request_timeout_s).",
        ) from None


async def find_model(state: State, job: JobSelection, checkpoint: str) -> ResolvedModel:
    """Find the model of a request; see `ModelResolver.resolve`."""
    resolved = state.resolver.cached(job, checkpoint)
    if resolved is None:
        resolved = await run_in_threadpool(state.resolver.resolve, job, checkpoint)
    return resolved


async def predict_image(state: State, model: ResolvedModel, image: SentImage) -> Predicted:
    """Run a model on an image, and record the request if it asks for it.

    Raises:
        Problem: the image or the model cannot be used, or no process serves the model.
    """
    request = InferenceRequest(
        model.model,
        image.data,
        image.name,
        confidence=image.confidence,
        visualize=image.visualize,
        explain=image.explain,
    )
    reply = await _infer(state, request)
    if reply.failure is not None:
        failure = reply.failure
        raise problems.problem_from_code(
            failure.code, failure.message, state.config.limits.retry_after_s
        )
    result = reply.result
    assert result is not None
    created_at = utc_now()
    recorded = None
    if state.config.record if image.record is None else image.record:
        recorded = await to_thread.run_sync(
            state.recorder.record, reply, model, image.name, limiter=state.recording
        )
    if result.status is ImageStatus.FAILED:
        raise problems.problem_from_image(result)
    state.metrics.model_seconds.labels(str(model.job.id)).observe(result.inference_time_ms / 1000)
    state.metrics.batch_size.observe(reply.batch_size)
    return Predicted(reply, model, created_at, recorded)


async def _infer(state: State, request: InferenceRequest) -> InferenceReply:
    """Return the reply of the cache or of the model."""
    cache = state.cache
    key = cache.key(request) if cache.enabled else b""
    known = cache.get(key) if key else None
    if known is not None:
        state.metrics.cache_hits.inc()
        return known
    after = state.config.limits.retry_after_s
    try:
        reply = await state.backend.infer(request)
    except Unavailable:
        raise problems.overloaded(
            after, "WORKER_DIED", "The process that held the model ended. Another one is starting."
        ) from None
    except Busy:
        raise problems.overloaded(after, "OVERLOADED", "Too many requests are waiting.") from None
    if key and reply.result is not None and reply.result.status is ImageStatus.OK:
        cache.put(key, reply)
    return reply
