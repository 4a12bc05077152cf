"""``/inference/inference-jobs``: predict whole folders, list jobs and their results."""

from __future__ import annotations

from typing import Annotated, Literal

from anyio import to_thread
from fastapi import APIRouter, Depends, Query
from starlette.concurrency import run_in_threadpool

from snellen.pipelines.runs.prediction import PREDICTION
from snellen.serve.api.bodies.image_bodies import InferenceResultListResponse
from snellen.serve.api.bodies.run_bodies import (
    DatasetInferenceRequest,
    InferenceJobListResponse,
    InferenceJobResponse,
    Status,
)
from snellen.serve.api.openapi import problem_responses
from snellen.serve.api.routes.run_actions import RunId, add_run_actions
from snellen.serve.api.runs.run_responses import Describer, inference_job_response
from snellen.serve.api.schemas import MAX_ID
from snellen.serve.api.state import State, get_state
from snellen.store.kinds import INFERENCE_JOB
from snellen.store.runs import count_inference_jobs, get_inference_job, list_inference_jobs

router = APIRouter(prefix="/inference", tags=["inference jobs"])
Skip = Annotated[int, Query(ge=0, le=MAX_ID, description="Number of rows to skip.")]


@router.post(
    "/inference-jobs",
    response_model=InferenceJobResponse,
    status_code=202,
    responses=problem_responses(404, 408, 409, 413, 422, 503, 507),
    summary="Submit an inference job",
)
async def create_inference_job(
    state: Annotated[State, Depends(get_state)], body: DatasetInferenceRequest
) -> InferenceJobResponse:
    """Check images, checkpoint and settings, and put an inference job in the queue."""

    def work() -> InferenceJobResponse:
        return inference_job_response(state.place, state.submission.submit_inference_job(body))

    return await to_thread.run_sync(work, limiter=state.submitting)


@router.get(
    "/inference-jobs",
    response_model=InferenceJobListResponse,
    responses=problem_responses(422, 503),
    summary="List inference jobs",
)
async def list_all_inference_jobs(
    state: Annotated[State, Depends(get_state)],
    status: Annotated[Status | None, Query(description="Status of the jobs.")] = None,
    skip: Skip = 0,
    limit: Annotated[int, Query(ge=1, le=1000, description="Maximum number of jobs.")] = 100,
) -> InferenceJobListResponse:
    """Return a page of inference jobs, newest first; recorded single requests are among them."""

    def work() -> InferenceJobListResponse:
        jobs = list_inference_jobs(state.db, status=status, limit=limit, offset=skip)
        return InferenceJobListResponse(
            total_count=count_inference_jobs(state.db, status=status),
            jobs=Describer(state.place, INFERENCE_JOB, jobs).inference_jobs(),
        )

    return await run_in_threadpool(work)


@router.get(
    "/inference-jobs/{run_id}",
    response_model=InferenceJobResponse,
    responses=problem_responses(404, 422, 503),
    summary="Show an inference job",
)
async def show_inference_job(
    state: Annotated[State, Depends(get_state)], run_id: RunId
) -> InferenceJobResponse:
    """Return an inference job."""

    def work() -> InferenceJobResponse:
        return inference_job_response(state.place, get_inference_job(state.db, run_id))

    return await run_in_threadpool(work)


@router.get(
    "/inference-jobs/{run_id}/results",
    response_model=InferenceResultListResponse,
    responses=problem_responses(404, 409, 422, 503),
    summary="List the results of an inference job",
)
async def list_results(
    state: Annotated[State, Depends(get_state)],
    run_id: RunId,
    status: Annotated[
        Literal["ok", "failed"] | None, Query(description="Status of the images.")
    ] = None,
    skip: Skip = 0,
    limit: Annotated[int, Query(ge=1, le=1000, description="Maximum number of images.")] = 100,
) -> InferenceResultListResponse:
    """Return a page of predictions in image order; of a running job those that are committed."""

    def work() -> InferenceResultListResponse:
        job = get_inference_job(state.db, run_id)
        return state.pages.predictions(job, skip, limit, status)

    return await run_in_threadpool(work)


add_run_actions(router, "/inference-jobs", PREDICTION, InferenceJobResponse, inference_job_response)
