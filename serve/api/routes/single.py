"""``POST /inference/single``: one image, one prediction."""

from __future__ import annotations

import asyncio
import re
from typing import Annotated, Any

from anyio import to_thread
from fastapi import APIRouter, Depends, Query, Request
from starlette.concurrency import run_in_threadpool

from snellen.adapters.types import ImageStatus
from snellen.serve.api import problems
from snellen.serve.api.backend import Busy, Unavailable
from snellen.serve.api.disconnect import cancel_on_disconnect
from snellen.serve.api.model_resolver import ResolvedModel
from snellen.serve.api.openapi import drop_null, problem_responses
from snellen.serve.api.problems import Problem
from snellen.serve.api.responses import build_response
from snellen.serve.api.schemas import (
    InferenceResultResponse,
    SingleInferenceQuery,
    SingleInferenceRequest,
)
from snellen.serve.api.state import State, get_state
from snellen.serve.api.uploads.filenames import display_name
from snellen.serve.api.uploads.multipart import Form, FormSpec, Upload, read_form
from snellen.serve.inference.messages import InferenceReply, InferenceRequest
from snellen.store.sql.columns import utc_now

router = APIRouter(prefix="/inference", tags=["inference"])
PATH, PAGE_PATH = "/inference/single", "/ui/single"
"""Paths to which images are uploaded: for programs, and for the page."""
_LOOKS_LIKE_PATH = re.compile(r"[/\\:]|\.\.")
_FORM = FormSpec("image", tuple(SingleInferenceRequest.model_fields))


def _form_schema() -> dict[str, Any]:
    """Return the request body of the OpenAPI document; FastAPI does not read this form itself."""
    known = SingleInferenceRequest.model_json_schema()["properties"]
    fields = {name: drop_null(one) for name, one in known.items()}
    image = {"type": "string", "format": "binary", "description": "Image file."}
    schema = {
        "type": "object",
        "required": ["image"],
        "properties": {"image": image, **fields},
        "additionalProperties": False,
    }
    encoding = {"image": {"contentType": "image/*"}}
    content = {"multipart/form-data": {"schema": schema, "encoding": encoding}}
    return {"required": True, "content": content}


@router.post(
    "/single",
    response_model=InferenceResultResponse,
    responses=problem_responses(404, 408, 409, 413, 415, 422, 503, 507),
    openapi_extra={"requestBody": _form_schema()},
    summary="Predict one image",
)
async def infer_single(
    request: Request,
    state: Annotated[State, Depends(get_state)],
    query: Annotated[SingleInferenceQuery, Query()],
) -> InferenceResultResponse:
    """Run a model on one uploaded image.

    Send each parameter either as a form field or in the query. `training_job_id` and `checkpoint`
    select the model.
    """
    _check_query(request)
    with state.admission.request() as reservation:
        state.admission.check()
        form = await read_form(request, _FORM, state.config.limits, reservation)
        parameters = _merge(query.model_dump(exclude_none=True), form)
        upload = _uploaded_image(form)
        with state.admission.slot():
            return await cancel_on_disconnect(
                request.receive, _predict_in_time(state, parameters, upload)
            )


def _check_query(request: Request) -> None:
    names = [name for name, _ in request.query_params.multi_items()]
    unknown = sorted(set(names) - set(_FORM.fields))
    if unknown:
        raise Problem(422, "VALIDATION", f"Unknown query parameter {unknown[0][:40]!r}.")
    repeated = sorted(name for name in set(names) if names.count(name) > 1)
    if repeated:
        raise Problem(422, "VALIDATION", f"Duplicate query parameter '{repeated[0]}'.")


def _merge(query: dict[str, Any], form: Form) -> SingleInferenceRequest:
    """Merge the parameters of query and form; empty form fields count as absent."""
    repeated = sorted(set(query) & set(form.fields))
    if repeated:
        raise Problem(
            422, "VALIDATION", f"'{repeated[0]}' was sent both as a form field and in the query."
        )
    fields = {name: text for name, text in form.fields.items() if text != ""}
    merged = {**query, **fields}
    if _LOOKS_LIKE_PATH.search(str(merged.get("checkpoint", ""))):
        raise Problem(
            403,
            "PATH_FORBIDDEN",
            "Paths and addresses are not allowed as checkpoint. Expected 'best', 'last' or an "
            "epoch number.",
        )
    return SingleInferenceRequest.model_validate(merged)


def _uploaded_image(form: Form) -> Upload:
    if form.file is None:
        raise Problem(422, "VALIDATION", "The form has no file in the field 'image'.")
    if not form.file.data:
        raise Problem(400, "EMPTY", "The uploaded image is empty (0 bytes).")
    return form.file


async def _predict_in_time(
    state: State, parameters: SingleInferenceRequest, upload: Upload
) -> InferenceResultResponse:
    limits = state.config.limits
    try:
        async with asyncio.timeout(limits.request_timeout_s):
            return await _predict(state, parameters, upload)
    except TimeoutError:
        raise problems.overloaded(
            limits.retry_after_s,
            "REQUEST_TIMEOUT",
            f"The prediction took longer than {limits.request_timeout_s:g} s.",
        ) from None


async def _predict(
    state: State, parameters: SingleInferenceRequest, upload: Upload
) -> InferenceResultResponse:
    selection = (parameters.training_job_id, parameters.checkpoint)
    resolved = state.resolver.cached(*selection)
    if resolved is None:
        resolved = await run_in_threadpool(state.resolver.resolve, *selection)
    name = display_name(upload.name)
    request = InferenceRequest(
        resolved.model,
        bytes(upload.data),
        name,
        confidence=parameters.confidence,
        visualize=parameters.visualize,
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
    if state.config.record if parameters.record is None else parameters.record:
        recorded = await to_thread.run_sync(
            state.recorder.record, reply, resolved, name, limiter=state.recording
        )
    if result.status is ImageStatus.FAILED:
        raise problems.problem_from_image(result)
    _observe(state, resolved, reply)
    return build_response(reply, resolved, name, created_at=created_at, recorded=recorded)


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


def _observe(state: State, resolved: ResolvedModel, reply: InferenceReply) -> None:
    result = reply.result
    assert result is not None
    label = str(resolved.job.id)
    state.metrics.model_seconds.labels(label).observe(result.inference_time_ms / 1000)
    state.metrics.batch_size.observe(reply.batch_size)
