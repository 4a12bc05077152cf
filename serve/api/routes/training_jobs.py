"""``/inference/training-jobs``: which models there are, and registering one inside the roots."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Depends, Query
from fastapi import Path as PathParameter
from starlette.concurrency import run_in_threadpool

from snellen.adapters.checkpoints.run_directory import read_run_directory
from snellen.pipelines.models.training_jobs import describe_job, register_run
from snellen.serve.api.allowed_roots import (
    Inside,
    check_files_inside,
    check_names_inside,
    folder_inside,
)
from snellen.serve.api.openapi import problems as documented
from snellen.serve.api.schemas import (
    MAX_ID,
    CheckpointListResponse,
    CheckpointResponse,
    TrainingJobListResponse,
    TrainingJobRequest,
    TrainingJobResponse,
)
from snellen.serve.api.state import State, state_of
from snellen.store.jobs import count_training_jobs, get_training_job, list_training_jobs
from snellen.store.views import JobView

router = APIRouter(prefix="/inference", tags=["training jobs"])


@router.get(
    "/training-jobs",
    response_model=TrainingJobListResponse,
    responses=documented(422, 503),
    summary="List the models.",
)
async def list_jobs(
    state: Annotated[State, Depends(state_of)],
    skip: Annotated[int, Query(ge=0, le=MAX_ID)] = 0,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> TrainingJobListResponse:
    """Newest first."""

    def read() -> TrainingJobListResponse:
        jobs = list_training_jobs(state.db, limit=limit, offset=skip)
        return TrainingJobListResponse(
            total_count=count_training_jobs(state.db), jobs=[_job(job) for job in jobs]
        )

    return await run_in_threadpool(read)


@router.get(
    "/training-jobs/{training_job_id}/checkpoints",
    response_model=CheckpointListResponse,
    responses=documented(404, 422, 503),
    summary="List the checkpoints of a model.",
)
async def list_checkpoints(
    state: Annotated[State, Depends(state_of)],
    training_job_id: Annotated[int, PathParameter(ge=1, le=MAX_ID)],
) -> CheckpointListResponse:
    """`name` is what `POST /inference/single` takes as `checkpoint`."""

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
    responses=documented(404, 408, 413, 422, 503, 507),
    summary="Register a run directory inside the configured roots.",
)
async def register(
    state: Annotated[State, Depends(state_of)], body: TrainingJobRequest
) -> TrainingJobResponse:
    """A directory that is registered already is read again."""

    def work() -> TrainingJobResponse:
        roots = state.config.roots
        folder = folder_inside(body.output_dir, roots)
        check_files_inside(folder, roots)
        names = body.class_names or None
        inside = Inside(roots)
        run = read_run_directory(folder, inside)
        if names is None:
            check_names_inside(run, inside)
        job = register_run(state.db, run, name=body.name, class_names=names)
        return _job(job)

    return await run_in_threadpool(work)


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
