"""``/inference/datasets``: inspect, list, register and remove datasets."""

from __future__ import annotations

from typing import Annotated, Any

from anyio import to_thread
from fastapi import APIRouter, Depends, Query
from fastapi import Path as PathParameter
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from snellen.pipelines.config.dataset import DatasetConfig
from snellen.pipelines.config.loader import build_as
from snellen.pipelines.data.sources.registry import open_source
from snellen.serve.api.bodies.catalog_bodies import (
    DatasetListResponse,
    DatasetRequest,
    DatasetResponse,
    InspectionResponse,
)
from snellen.serve.api.job_selection import JobName, JobSelection
from snellen.serve.api.openapi import problem_responses
from snellen.serve.api.runs.dataset_inspection import inspect_dataset
from snellen.serve.api.runs.request_settings import checkpoint_name, dataset_section
from snellen.serve.api.runs.run_responses import shown_path
from snellen.serve.api.schemas import AnyCheckpointName, JobId
from snellen.serve.api.state import State, get_state
from snellen.store.datasets import add_dataset, list_datasets, remove_dataset
from snellen.store.views import DatasetView

router = APIRouter(prefix="/inference", tags=["datasets"])
_PATHS = ("path", "annotations", "root")


async def _selected_job(
    training_job_id: Annotated[
        JobId | None, Query(description="Training job whose classes are compared.")
    ] = None,
    job: Annotated[
        JobName | None, Query(description="Its name, in place of training_job_id.")
    ] = None,
) -> JobSelection | None:
    """Return the training job of a query, if it names one."""
    given = training_job_id is not None or job is not None
    return JobSelection(training_job_id, job) if given else None


@router.get(
    "/datasets/inspect",
    response_model=InspectionResponse,
    responses=problem_responses(404, 409, 422, 503, 507),
    summary="Inspect a dataset",
)
async def inspect(
    state: Annotated[State, Depends(get_state)],
    path: Annotated[
        str,
        Query(min_length=1, max_length=4096, description="Path inside the roots, or a name."),
    ],
    job: Annotated[JobSelection | None, Depends(_selected_job)],
    checkpoint: Annotated[AnyCheckpointName, Query(description="Its checkpoint.")] = "best",
    split: Annotated[
        str | None,
        Query(min_length=1, max_length=200, description="Split; default: test, else val."),
    ] = None,
) -> InspectionResponse:
    """Return format, classes and counts; with a training job also how the classes would fit."""

    def work() -> InspectionResponse:
        model: dict[str, Any] | None = None
        if job is not None:
            model = {"job": job.find(state.db), "checkpoint": checkpoint_name(checkpoint)}
        return inspect_dataset(state.place, state.submission, path, model, split)

    return await to_thread.run_sync(work, limiter=state.submitting)


@router.get(
    "/datasets",
    response_model=DatasetListResponse,
    responses=problem_responses(422, 503),
    summary="List registered datasets",
)
async def list_all(state: Annotated[State, Depends(get_state)]) -> DatasetListResponse:
    """Return the registered datasets by name."""

    def work() -> DatasetListResponse:
        found = [_response(state, one) for one in list_datasets(state.db)]
        return DatasetListResponse(total_count=len(found), datasets=found)

    return await run_in_threadpool(work)


@router.post(
    "/datasets",
    response_model=DatasetResponse,
    status_code=201,
    responses=problem_responses(404, 408, 409, 413, 422, 503, 507),
    summary="Register a dataset",
)
async def register(
    state: Annotated[State, Depends(get_state)], body: DatasetRequest
) -> DatasetResponse:
    """Register a dataset inside the roots; its name is then accepted as a path. Needs `admin`."""

    def work() -> DatasetResponse:
        section = dataset_section(body.dataset_path, body.dataset, state.place)
        config = build_as(DatasetConfig, section, where="dataset")
        info = open_source(config).describe()
        state.submission.check_root(info.root, config.path)
        return _response(state, add_dataset(state.db, body.name, section))

    return await to_thread.run_sync(work, limiter=state.submitting)


@router.delete(
    "/datasets/{name}",
    status_code=204,
    response_class=Response,
    responses=problem_responses(404, 422, 503),
    summary="Remove the name of a dataset",
)
async def remove(
    state: Annotated[State, Depends(get_state)],
    name: Annotated[str, PathParameter(min_length=1, max_length=200, description="Its name.")],
) -> Response:
    """Remove a name; files and runs stay. Needs `admin`."""
    await run_in_threadpool(remove_dataset, state.db, name)
    return Response(status_code=204)


def _response(state: State, found: DatasetView) -> DatasetResponse:
    roots = state.place.roots
    config = {
        key: shown_path(value, roots) if key in _PATHS and isinstance(value, str) else value
        for key, value in found.config.items()
        if key != "storage_options"
    }
    return DatasetResponse(name=found.name, config=config, created_at=found.created_at)
