"""Execute a request for predictions."""

from __future__ import annotations

import asyncio
import json

from fastapi import Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from snellen.serve.api.middleware.disconnect import cancel_on_disconnect
from snellen.serve.api.model_resolver import ResolvedModel
from snellen.serve.api.open_inference.bodies import InferResponse
from snellen.serve.api.open_inference.served_models import find_version
from snellen.serve.api.open_inference.tasks import TASKS
from snellen.serve.api.open_inference.wire import (
    InferCall,
    parse_request,
    requested_outputs,
    response_of,
)
from snellen.serve.api.predict_image import Predicted, SentImage, in_time, predict_image
from snellen.serve.api.problems import Problem
from snellen.serve.api.state import State
from snellen.serve.api.uploads.multipart import receive_body
from snellen.serve.config import FORM_OVERHEAD


async def execute(
    request: Request, state: State, names: tuple[str, str], json_length: str | None
) -> Response:
    """Read the images of a request, run a model on them, and return its outputs.

    Args:
        request: whose body has not been read.
        state: of this process.
        names: model and version.
        json_length: value of ``Inference-Header-Content-Length``.

    Raises:
        Problem: the request cannot be served.
        SnellenError: the model cannot be used.
    """
    limits = state.config.limits
    encoding = request.headers.get("content-encoding", "identity")
    if encoding.lower() != "identity":
        raise Problem(415, "UNSUPPORTED", f"Content-Encoding {encoding[:40]!r} is not supported.")
    # base64 takes four bytes for three.
    most = limits.max_images * limits.max_image_bytes * 4 // 3 + FORM_OVERHEAD
    with state.admission.request() as reservation:
        state.admission.check()
        content = bytearray()
        await receive_body(
            request, min(most, limits.max_buffered_bytes), limits, reservation, content.extend
        )
        call = await run_in_threadpool(parse_request, bytes(content), json_length, limits)
        del content
        with state.admission.slot(len(call.images)):
            work = in_time(state, _predict(state, names, call))
            return await cancel_on_disconnect(request.receive, work)


async def _predict(state: State, names: tuple[str, str], call: InferCall) -> Response:
    model = await find_version(state, *names)
    body = call.body
    outputs = requested_outputs(body, TASKS[model.job.task_type])
    images = [
        SentImage(
            data, f"image-{number}", confidence=body.parameters.confidence,
            record=body.parameters.record,
        )
        for number, data in enumerate(call.images)
    ]  # fmt: skip
    found = await _predict_all(state, model, images)
    shared = found[0]
    parameters = {
        "checkpoint_sha256": shared.reply.sha256,
        "task_type": str(shared.result.task_type),
    }
    warnings = {
        str(number): one.result.extra_data["warnings"]
        for number, one in enumerate(found)
        if one.result.extra_data.get("warnings")
    }
    if warnings:
        parameters["warnings"] = json.dumps(warnings)
    response = InferResponse(
        model_name=model.job.name,
        model_version=model.checkpoint,
        id=body.id,
        parameters=parameters,
        outputs=[],
    )
    top_k = body.parameters.top_k
    return response_of(
        response, [(one, binary, one.build(found, top_k)) for one, binary in outputs]
    )


async def _predict_all(
    state: State, model: ResolvedModel, images: list[SentImage]
) -> list[Predicted]:
    """Predict images concurrently, so that they share batches; the first problem ends it."""

    async def predict(number: int, image: SentImage) -> Predicted:
        try:
            return await predict_image(state, model, image)
        except Problem as problem:
            if len(images) == 1:
                raise
            detail = f"Image {number}: {problem.detail}"
            raise Problem(problem.status, problem.code, detail, headers=problem.headers) from None

    tasks = [asyncio.create_task(predict(number, one)) for number, one in enumerate(images)]
    try:
        return list(await asyncio.gather(*tasks))
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
