"""``POST /inference/single``: one image, one prediction."""

from __future__ import annotations

import re
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request

from snellen.serve.api.bodies.single_bodies import (
    SingleInferenceQuery,
    SingleInferenceRequest,
    single_body,
)
from snellen.serve.api.middleware.admission import Reservation
from snellen.serve.api.middleware.disconnect import cancel_on_disconnect
from snellen.serve.api.openapi import problem_responses
from snellen.serve.api.predict_image import SentImage, find_model, in_time, predict_image
from snellen.serve.api.problems import Problem
from snellen.serve.api.responses import build_response
from snellen.serve.api.schemas import InferenceResultResponse
from snellen.serve.api.state import State, get_state
from snellen.serve.api.uploads.filenames import display_name
from snellen.serve.api.uploads.multipart import Form, FormSpec, Upload, read_form
from snellen.serve.api.uploads.raw_image import is_raw_image, read_raw_image

router = APIRouter(prefix="/inference", tags=["inference"])
_LOOKS_LIKE_PATH = re.compile(r"[/\\:]|\.\.")
_FORM = FormSpec("image", tuple(SingleInferenceRequest.model_fields))


@router.post(
    "/single",
    response_model=InferenceResultResponse,
    responses=problem_responses(404, 408, 409, 413, 415, 422, 503, 507),
    openapi_extra={"requestBody": single_body()},
    summary="Predict one image",
)
async def infer_single(
    request: Request,
    state: Annotated[State, Depends(get_state)],
    query: Annotated[SingleInferenceQuery, Query()],
) -> InferenceResultResponse:
    """Run a model on one uploaded image.

    Send the image as the field `image` of a form, with each parameter either as a form field or in
    the query; or as the body itself (`Content-Type: image/jpeg`), with the parameters in the query.
    `training_job_id` or `job`, and `checkpoint`, select the model.
    """
    _check_query(request)
    with state.admission.request() as reservation:
        state.admission.check()
        given = query.model_dump(exclude_none=True)
        parameters, upload = await _read(request, state, given, reservation)
        with state.admission.slot():
            return await cancel_on_disconnect(
                request.receive, in_time(state, _predict(state, parameters, upload))
            )


def _check_query(request: Request) -> None:
    names = [name for name, _ in request.query_params.multi_items()]
    unknown = sorted(set(names) - set(_FORM.fields))
    if unknown:
        raise Problem(422, "VALIDATION", f"Unknown query parameter {unknown[0][:40]!r}.")
    repeated = sorted(name for name in set(names) if names.count(name) > 1)
    if repeated:
        raise Problem(422, "VALIDATION", f"Duplicate query parameter '{repeated[0]}'.")


async def _read(
    request: Request, state: State, query: dict[str, Any], reservation: Reservation
) -> tuple[SingleInferenceRequest, Upload]:
    """Read the body: a form, or the image itself."""
    limits = state.config.limits
    if is_raw_image(request):
        upload: Upload | None = await read_raw_image(request, limits, reservation)
        parameters = _validated(query)
    else:
        form = await read_form(request, _FORM, limits, reservation)
        parameters, upload = _merge(query, form), form.file
    if upload is None:
        raise Problem(422, "VALIDATION", "The form has no file in the field 'image'.")
    if not upload.data:
        raise Problem(400, "EMPTY", "The uploaded image is empty (0 bytes).")
    return parameters, upload


def _merge(query: dict[str, Any], form: Form) -> SingleInferenceRequest:
    """Merge the parameters of query and form; empty form fields count as absent."""
    repeated = sorted(set(query) & set(form.fields))
    if repeated:
        raise Problem(
            422, "VALIDATION", f"'{repeated[0]}' was sent both as a form field and in the query."
        )
    fields = {name: text for name, text in form.fields.items() if text != ""}
    return _validated({**query, **fields})


def _validated(given: dict[str, Any]) -> SingleInferenceRequest:
    if _LOOKS_LIKE_PATH.search(str(given.get("checkpoint", ""))):
        raise Problem(
            403,
            "PATH_FORBIDDEN",
            "Paths and addresses are not allowed as checkpoint. Expected 'best', 'last' or an "
            "epoch number.",
        )
    return SingleInferenceRequest.model_validate(given)


async def _predict(
    state: State, parameters: SingleInferenceRequest, upload: Upload
) -> InferenceResultResponse:
    model = await find_model(state, parameters.selection, parameters.checkpoint)
    image = SentImage(
        bytes(upload.data),
        display_name(upload.name),
        confidence=parameters.confidence,
        visualize=parameters.visualize,
        explain=parameters.explain is not None,
        record=parameters.record,
    )
    found = await predict_image(state, model, image)
    return build_response(
        found.reply, model, image.name, created_at=found.created_at, recorded=found.recorded
    )
