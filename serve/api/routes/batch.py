"""``POST /inference/batch``: predict many uploaded images, or those of a ZIP archive."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq
from anyio import to_thread
from fastapi import APIRouter, Depends, Request
from pydantic import Field

from snellen.pipelines.config.loader import build_as
from snellen.pipelines.config.predict import PredictConfig
from snellen.pipelines.runs.kinds import Columns
from snellen.pipelines.runs.prediction import PREDICTION
from snellen.serve.api.bodies.run_bodies import InferenceJobResponse, RunName
from snellen.serve.api.job_selection import SelectsJob
from snellen.serve.api.openapi import drop_null, problem_responses
from snellen.serve.api.problems import Problem, overloaded
from snellen.serve.api.runs.request_settings import checkpoint_name
from snellen.serve.api.runs.run_responses import inference_job_response
from snellen.serve.api.schemas import AnyCheckpointName, MinConfidence
from snellen.serve.api.state import State, get_state
from snellen.serve.api.uploads.archives import extract_images, is_archive
from snellen.serve.api.uploads.batch_form import BatchForm, StoredFile, read_batch, remove_folder
from snellen.serve.api.uploads.stored_files import new_folders
from snellen.store.atomic_file import output_errors

router = APIRouter(prefix="/inference", tags=["inference jobs"])
PATH = "/inference/batch"
_MAX_UPLOADS = 4
_FILES, _MANIFEST = "files", "images.parquet"


class BatchInferenceRequest(SelectsJob):
    """Parameters of a batch, as form fields."""

    checkpoint: AnyCheckpointName = "best"
    batch_size: Annotated[
        int, Field(ge=1, le=1024, description="Number of images per forward pass.")
    ] = 32
    confidence: MinConfidence | None = None
    name: RunName | None = None
    visualize: Annotated[
        Literal["none", "failed", "all"], Field(description="Annotated copies of images.")
    ] = "none"


def _form_schema() -> dict[str, Any]:
    known = BatchInferenceRequest.model_json_schema()["properties"]
    fields = {name: drop_null(one) for name, one in known.items()}
    file = {"type": "string", "format": "binary"}
    images = {
        "type": "array",
        "items": file,
        "minItems": 1,
        "description": "Image files, or one ZIP archive.",
    }
    schema = {
        "type": "object",
        "required": ["images"],
        "anyOf": [{"required": ["training_job_id"]}, {"required": ["job"]}],
        "properties": {"images": images, **fields},
        "additionalProperties": False,
    }
    return {"required": True, "content": {"multipart/form-data": {"schema": schema}}}


@router.post(
    "/batch",
    response_model=InferenceJobResponse,
    status_code=202,
    responses=problem_responses(404, 408, 409, 413, 422, 503, 507),
    openapi_extra={"requestBody": _form_schema()},
    summary="Predict many images",
)
async def infer_batch(
    request: Request, state: Annotated[State, Depends(get_state)]
) -> InferenceJobResponse:
    """Store the uploaded images, and put an inference job on them in the queue.

    Send `images` once per image, or once with a ZIP archive. The results are at
    `GET /inference/inference-jobs/{id}/results`.
    """
    if state.admission.draining:
        state.admission.check()
    if state.uploading >= _MAX_UPLOADS:
        after = state.config.limits.retry_after_s
        raise overloaded(after, "OVERLOADED", "Too many uploads are in progress.")
    folder, final = new_folders(Path(state.place.output_dir))
    state.uploading += 1
    accepted = False
    try:
        with output_errors(folder):
            (folder / _FILES).mkdir(mode=0o700, parents=True)
        names = tuple(BatchInferenceRequest.model_fields)
        form = await read_batch(request, folder / _FILES, names, state.config.limits)
        parameters = BatchInferenceRequest.model_validate(form.fields)
        work = partial(_submit, state, (folder, final), form, parameters)
        response = await to_thread.run_sync(work, limiter=state.submitting)
        accepted = True
        return response
    finally:
        state.uploading -= 1
        if not accepted:
            await to_thread.run_sync(remove_folder, folder)
            await to_thread.run_sync(remove_folder, final)


def _submit(
    state: State,
    folders: tuple[Path, Path],
    form: BatchForm,
    parameters: BatchInferenceRequest,
) -> InferenceJobResponse:
    folder, final = folders
    files = form.files
    given: dict[str, Any] = {"num_images": len(files), "batch_size": parameters.batch_size}
    if any(is_archive(one.path) for one in files):
        if len(files) > 1:
            raise Problem(
                422, "FORM_FILES", "Expected image files, or one ZIP archive and nothing else."
            )
        unpacked = folder / "unpacked"
        unpacked.mkdir(mode=0o700)
        found = extract_images(files[0].path, unpacked, state.config.limits)
        files[0].path.unlink()
        if not found.files:
            raise Problem(422, "DATASET_EMPTY", "The ZIP archive has no images.")
        files = found.files
        given |= {"num_images": len(files), "passed_over": found.passed_over}
    _write_manifest(folder, files)
    folder.rename(final)
    config = build_as(PredictConfig, _config(state, final, parameters), where="request")

    def describe(_: PredictConfig) -> tuple[Columns, str]:
        return {"inference_type": "batch", "input_data": given}, f"{len(files)}-images"

    kind = replace(PREDICTION, describe_input=describe)
    job = state.submission.submit_uploaded(kind, config)
    return inference_job_response(state.place, job)


def _config(state: State, folder: Path, parameters: BatchInferenceRequest) -> dict[str, Any]:
    confidence = parameters.confidence
    return {
        **({} if parameters.name is None else {"name": parameters.name}),
        "model": {
            "job": parameters.selection.find(state.db),
            "checkpoint": checkpoint_name(parameters.checkpoint),
            **({} if confidence is None else {"min_confidence": confidence}),
        },
        "dataset": {"path": str(folder / _MANIFEST), "format": "manifest"},
        "run": {"batch_size": parameters.batch_size},
        "output": {"dir": state.place.output_dir, "visualize": parameters.visualize},
    }


def _write_manifest(folder: Path, files: list[StoredFile]) -> None:
    """Write the list of the images: their files, and the names that clients gave as their ids."""
    ids: dict[str, None] = {}
    numbers: Counter[str] = Counter()
    for one in files:
        name = one.name
        while name in ids:
            numbers[one.name] += 1
            stem, point, ending = one.name.rpartition(".")
            number = f" ({numbers[one.name] + 1})"
            name = f"{stem}{number}.{ending}" if point else f"{one.name}{number}"
        ids[name] = None
    paths = [one.path.relative_to(folder).as_posix() for one in files]
    with output_errors(folder):
        pq.write_table(pa.table({"path": paths, "image_id": list(ids)}), folder / _MANIFEST)
