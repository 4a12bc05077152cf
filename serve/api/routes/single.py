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
from snellen.serve.api.disconnect import unless_hung_up
from snellen.serve.api.filenames import display_name
from snellen.serve.api.model_resolver import Resolved
from snellen.serve.api.openapi import problems as documented
from snellen.serve.api.openapi import without_null
from snellen.serve.api.problems import Problem
from snellen.serve.api.responses import response_of
from snellen.serve.api.schemas import (
    CHECKPOINT,
    Id,
    InferenceResultResponse,
    SingleInferenceRequest,
)
from snellen.serve.api.state import State, state_of
from snellen.serve.api.upload import Form, Upload, read_form
from snellen.serve.inference.messages import Answer
from snellen.serve.inference.messages import Query as ModelQuery
from snellen.store.sql.columns import utc_now

router = APIRouter(prefix="/inference", tags=["inference"])
PATH = "/inference/single"
_PATH = re.compile(r"[/\\:]|\.\.")
_FIELDS = tuple(SingleInferenceRequest.model_fields)


def _form_schema() -> dict[str, Any]:
    """The multipart body, which FastAPI does not see: it is read by hand, within limits."""
    known = SingleInferenceRequest.model_json_schema()["properties"]
    fields = {name: without_null(one) for name, one in known.items()}
    image = {"type": "string", "format": "binary", "description": "The image file."}
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
    responses=documented(404, 408, 409, 413, 415, 422, 503, 507),
    openapi_extra={"requestBody": _form_schema()},
    summary="Predict for one uploaded image.",
)
async def infer_single(
    request: Request,
    state: Annotated[State, Depends(state_of)],
    training_job_id: Annotated[Id | None, Query()] = None,
    checkpoint: Annotated[
        str | None,
        Query(description="best, last or an epoch", json_schema_extra={"pattern": CHECKPOINT}),
    ] = None,
    confidence: Annotated[float | None, Query(ge=0, le=1, allow_inf_nan=False)] = None,
    visualize: Annotated[bool | None, Query()] = None,
    record: Annotated[bool | None, Query()] = None,
) -> InferenceResultResponse:
    """Each parameter is a form field or a query parameter, not both.

    - `training_job_id`, `checkpoint` (`best`, `last` or an epoch): the model.
    - `confidence`: detections below it are left out; of no effect on classification.
    - `visualize`: also return the annotated image.
    - `record`: keep the request in the run tables.
    """
    given = {
        "training_job_id": training_job_id,
        "checkpoint": checkpoint,
        "confidence": confidence,
        "visualize": visualize,
        "record": record,
    }
    _check_query(request)
    with state.admission.request() as holding:
        state.admission.check()
        form = await read_form(
            request,
            file_field="image",
            known=_FIELDS,
            limits=state.config.limits,
            holding=holding,
        )
        asked = _asked({name: value for name, value in given.items() if value is not None}, form)
        upload = _image_of(form)
        with state.admission.slot():
            return await unless_hung_up(request.receive, _within(state, asked, upload))


def _check_query(request: Request) -> None:
    names = [name for name, _ in request.query_params.multi_items()]
    unknown = sorted(set(names) - set(_FIELDS))
    if unknown:
        raise Problem(422, "VALIDATION", f"The query has an unknown parameter {unknown[0][:40]!r}.")
    twice = sorted(name for name in set(names) if names.count(name) > 1)
    if twice:
        raise Problem(422, "VALIDATION", f"The query has '{twice[0]}' more than once.")


def _asked(given: dict[str, Any], form: Form) -> SingleInferenceRequest:
    twice = sorted(set(given) & set(form.fields))
    if twice:
        raise Problem(
            422, "VALIDATION", f"'{twice[0]}' was sent both as a form field and in the query."
        )
    fields = {name: text for name, text in form.fields.items() if text != ""}
    asked = {**given, **fields}
    if _PATH.search(str(asked.get("checkpoint", ""))):
        raise Problem(
            403,
            "PATH_FORBIDDEN",
            "A checkpoint is 'best', 'last' or an epoch of a training job; paths and addresses "
            "are refused.",
        )
    return SingleInferenceRequest.model_validate(asked)


def _image_of(form: Form) -> Upload:
    if form.file is None:
        raise Problem(422, "VALIDATION", "The form has no file in the field 'image'.")
    if not form.file.data:
        raise Problem(400, "EMPTY", "The uploaded image is empty (0 bytes).")
    return form.file


async def _within(
    state: State, asked: SingleInferenceRequest, upload: Upload
) -> InferenceResultResponse:
    limits = state.config.limits
    try:
        async with asyncio.timeout(limits.request_timeout_s):
            return await _predict(state, asked, upload)
    except TimeoutError:
        raise problems.overloaded(
            limits.retry_after_s,
            "REQUEST_TIMEOUT",
            f"There was no answer within {limits.request_timeout_s:g} s.",
        ) from None


async def _predict(
    state: State, asked: SingleInferenceRequest, upload: Upload
) -> InferenceResultResponse:
    wanted = (asked.training_job_id, asked.checkpoint)
    resolved = state.resolver.known(*wanted)
    if resolved is None:
        resolved = await run_in_threadpool(state.resolver.resolve, *wanted)
    name = display_name(upload.name)
    query = ModelQuery(
        resolved.model, bytes(upload.data), name, asked.confidence, visualize=asked.visualize
    )
    answer = await _answer(state, query)
    if answer.failure is not None:
        failure = answer.failure
        raise problems.problem_of_code(
            failure.code, failure.message, state.config.limits.retry_after_s
        )
    result = answer.result
    assert result is not None
    created_at = utc_now()
    record = state.config.record if asked.record is None else asked.record
    ids, picture_path = None, None
    if record:
        ids, picture_path = await to_thread.run_sync(
            state.recorder.record, answer, resolved, name, limiter=state.recording
        )
    if result.status is ImageStatus.FAILED:
        raise problems.problem_of_image(result)
    _measure(state, resolved, answer)
    return response_of(
        answer, resolved, name, created_at=created_at, ids=ids, picture_path=picture_path
    )


async def _answer(state: State, query: ModelQuery) -> Answer:
    cache = state.cache
    key = cache.key(query) if cache.enabled else b""
    known = cache.get(key) if key else None
    if known is not None:
        state.metrics.cache_hits.inc()
        return known
    after = state.config.limits.retry_after_s
    try:
        answer = await state.backend.answer(query)
    except Unavailable:
        raise problems.overloaded(
            after, "WORKER_DIED", "The process that held the model ended; another one starts."
        ) from None
    except Busy:
        raise problems.overloaded(after, "OVERLOADED", "Too many requests are waiting.") from None
    if key and answer.result is not None and answer.result.status is ImageStatus.OK:
        cache.put(key, answer)
    return answer


def _measure(state: State, resolved: Resolved, answer: Answer) -> None:
    result = answer.result
    assert result is not None
    label = str(resolved.job.id)
    state.metrics.model_seconds.labels(label).observe(result.inference_time_ms / 1000)
    state.metrics.batch_size.observe(answer.batch_size)
