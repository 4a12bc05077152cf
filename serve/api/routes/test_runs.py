"""``/inference/test-runs``: submit, list and show test runs."""

from __future__ import annotations

from typing import Annotated

from anyio import to_thread
from fastapi import APIRouter, Depends, Query
from fastapi import Path as PathParameter
from starlette.concurrency import run_in_threadpool

from snellen.pipelines.runs.evaluation import EVALUATION
from snellen.serve.api.bodies.run_bodies import (
    Status,
    TestRunListResponse,
    TestRunRequest,
    TestRunResponse,
)
from snellen.serve.api.openapi import problem_responses
from snellen.serve.api.routes.run_actions import RunId, add_run_actions
from snellen.serve.api.runs.run_responses import Describer, test_run_response
from snellen.serve.api.schemas import MAX_ID
from snellen.serve.api.state import State, get_state
from snellen.store.jobs import get_training_job
from snellen.store.kinds import TEST_RUN
from snellen.store.runs import RunFilter, count_test_runs, get_test_run, list_test_runs

router = APIRouter(prefix="/inference", tags=["test runs"])
Skip = Annotated[int, Query(ge=0, le=MAX_ID, description="Number of test runs to skip.")]
Limit = Annotated[int, Query(ge=1, le=1000, description="Maximum number of test runs.")]
StatusQuery = Annotated[Status | None, Query(description="Status of the runs.")]


@router.post(
    "/test-runs",
    response_model=TestRunResponse,
    status_code=202,
    responses=problem_responses(404, 408, 409, 413, 422, 503, 507),
    summary="Submit a test run",
)
async def create_test_run(
    state: Annotated[State, Depends(get_state)], body: TestRunRequest
) -> TestRunResponse:
    """Check dataset, checkpoint, class map and settings, and put a test run in the queue.

    A worker executes it; follow it with `GET /inference/test-runs/{id}/events`.
    """

    def work() -> TestRunResponse:
        return test_run_response(state.place, state.submission.submit_test_run(body))

    return await to_thread.run_sync(work, limiter=state.submitting)


@router.get(
    "/test-runs",
    response_model=TestRunListResponse,
    responses=problem_responses(422, 503),
    summary="List test runs",
)
async def list_all_test_runs(
    state: Annotated[State, Depends(get_state)],
    status: StatusQuery = None,
    skip: Skip = 0,
    limit: Limit = 100,
) -> TestRunListResponse:
    """Return a page of test runs, newest first."""
    return await run_in_threadpool(_page, state, {"status": status}, skip, limit)


@router.get(
    "/jobs/{training_job_id}/test-runs",
    response_model=TestRunListResponse,
    responses=problem_responses(404, 422, 503),
    summary="List the test runs of a training job",
)
async def list_test_runs_of_job(
    state: Annotated[State, Depends(get_state)],
    training_job_id: Annotated[
        int, PathParameter(ge=1, le=MAX_ID, description="Id of the training job.")
    ],
    skip: Skip = 0,
    limit: Limit = 100,
) -> TestRunListResponse:
    """Return a page of the test runs of a training job, newest first."""

    def work() -> TestRunListResponse:
        get_training_job(state.db, training_job_id)
        return _page(state, {"training_job_id": training_job_id}, skip, limit)

    return await run_in_threadpool(work)


@router.get(
    "/test-runs/{run_id}",
    response_model=TestRunResponse,
    responses=problem_responses(404, 422, 503),
    summary="Show a test run",
)
async def show_test_run(
    state: Annotated[State, Depends(get_state)], run_id: RunId
) -> TestRunResponse:
    """Return a test run with its metrics."""

    def work() -> TestRunResponse:
        return test_run_response(state.place, get_test_run(state.db, run_id))

    return await run_in_threadpool(work)


def _page(state: State, where: RunFilter, skip: int, limit: int) -> TestRunListResponse:
    runs = list_test_runs(state.db, limit=limit, offset=skip, **where)
    return TestRunListResponse(
        training_job_id=where.get("training_job_id"),
        total_count=count_test_runs(state.db, **where),
        runs=Describer(state.place, TEST_RUN, runs).test_runs(),
    )


add_run_actions(router, "/test-runs", EVALUATION, TestRunResponse, test_run_response)
