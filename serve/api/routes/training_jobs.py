"""``/inference/training-jobs``: list models, and register run directories inside the roots."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Depends, Query
from fastapi import Path as PathParameter
from starlette.concurrency import run_in_threadpool

from snellen.adapters.checkpoints.run_directory import read_run_directory
from snellen.pipelines.models.job_class_names import with_checkpoint_names
from snellen.pipelines.models.training_jobs import describe_job, register_run
from snellen.serve.api.allowed_roots import (
    InsideRoots,
    check_class_names,
    check_links,
    resolve_inside,
)
from snellen.serve.api.openapi import problem_responses
from snellen.serve.api.schemas import (
    MAX_ID,
    CheckpointListResponse,
    CheckpointResponse,
    TrainingJobListResponse,
    TrainingJobRequest,
    TrainingJobResponse,
)
from snellen.serve.api.state import State, get_state
from snellen.store.jobs import count_training_jobs, get_training_job, list_training_jobs
from snellen.store.views import JobView

router = APIRouter(prefix="/inference", tags=["training jobs"])


@router.get(
    "/training-jobs",
    response_model=TrainingJobListResponse,
    responses=problem_responses(422, 503),
    summary="List training jobs",
)
async def list_jobs(
    state: Annotated[State, Depends(get_state)],
    skip: Annotated[
        int, Query(ge=0, le=MAX_ID, description="Number of training jobs to skip.")
    ] = 0,
    limit: Annotated[
        int, Query(ge=1, le=1000, description="Maximum number of training jobs.")
    ] = 100,
) -> TrainingJobListResponse:
    """Return a page of training jobs, newest first."""

    def read() -> TrainingJobListResponse:
        jobs = list_training_jobs(state.db, limit=limit, offset=skip)
        return TrainingJobListResponse(
            total_count=count_training_jobs(state.db), jobs=[_job(job) for job in jobs]
        )

    return await run_in_threadpool(read)


@router.get(
    "/training-jobs/{training_job_id}/checkpoints",
    response_model=CheckpointListResponse,
    responses=problem_responses(404, 422, 503),
    summary="List the checkpoints of a training job",
)
async def list_checkpoints(
    state: Annotated[State, Depends(get_state)],
    training_job_id: Annotated[
        int, PathParameter(ge=1, le=MAX_ID, description="Id of the training job.")
    ],
) -> CheckpointListResponse:
    """Return the checkpoints; `name` is a value for `checkpoint` of `POST /inference/single`."""

    def read() -> CheckpointListResponse:
        job = describe_job(get_training_job(state.db, training_job_id))
        return CheckpointListResponse(
            training_job_id=training_job_id,
            checkpoints=[
                CheckpointResponse(
                    name=str(entry["name"]),
                    epoch=entry["epoch"],
                    file=Path(entry["path"]).name,
                    metric=entry["metric"],
                )
                for entry in job["checkpoints"]
            ],
        )

    return await run_in_threadpool(read)


@router.post(
    "/training-jobs",
    response_model=TrainingJobResponse,
    status_code=201,
    responses=problem_responses(404, 408, 409, 413, 422, 503, 507),
    summary="Register a run directory",
)
async def register(
    state: Annotated[State, Depends(get_state)], body: TrainingJobRequest
) -> TrainingJobResponse:
    """Register a run directory inside the configured roots; registering again updates it."""
    return _job(await run_in_threadpool(register_inside, state, body))


def register_inside(state: State, body: TrainingJobRequest) -> JobView:
    """Register a run directory inside the roots of the service.

    Raises:
        Problem: 403, the directory, a link in it or its class names are outside; 404.
        InputError: RUN_DIRECTORY_UNKNOWN, RUN_DIRECTORY_INVALID or JOB_NAME_TAKEN.
    """
    roots = state.config.roots
    folder = resolve_inside(body.output_dir, roots)
    check_links(folder, roots)
    names = body.class_names or None
    inside = InsideRoots(roots)
    run = read_run_directory(folder, inside)
    if names is None:
        check_class_names(run, inside)
        run = with_checkpoint_names(run)
    return register_run(state.db, run, name=body.name, class_names=names)


def _job(job: JobView) -> TrainingJobResponse:
    return TrainingJobResponse(
        id=job.id,
        name=job.name,
        framework=job.framework,
        task_type=job.task_type,
        model_name=job.model_name,
        class_names=job.class_names,
        num_classes=job.num_classes,
        created_at=job.created_at,
    )
