"""Routes that test runs and inference jobs share: cancel, resume, delete, events."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Body, Depends, Query
from fastapi import Path as PathParameter
from pydantic import BaseModel
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response, StreamingResponse

from snellen.adapters.errors import InputError
from snellen.pipelines.execution.retry_failed import error_codes
from snellen.pipelines.runs.deletion import deletion_of_inference_job, deletion_of_run
from snellen.pipelines.runs.evaluation import EVALUATION
from snellen.pipelines.runs.kinds import RunKind
from snellen.serve.api.bodies.run_bodies import ResumeRequest
from snellen.serve.api.openapi import problem_responses
from snellen.serve.api.problems import Problem
from snellen.serve.api.runs.event_stream import progress_events
from snellen.serve.api.schemas import MAX_ID
from snellen.serve.api.state import State, get_state
from snellen.store.leases import request_cancel
from snellen.store.service.job_queue import requeue

RunId = Annotated[int, PathParameter(ge=1, le=MAX_ID, description="Id of the run.")]
Describe = Callable[[Any, Any], BaseModel]


def add_run_actions(
    router: APIRouter, path: str, kind: RunKind, model: type[BaseModel], describe: Describe
) -> None:
    """Add the routes of a kind of run to a router.

    Args:
        router: the router.
        path: of the collection, such as ``/test-runs``.
        kind: the kind of run.
        model: schema of the response.
        describe: returns the response of a row, given the place and the row.
    """
    _add_cancel_and_resume(router, path, kind, model, describe)
    _add_delete(router, path, kind)
    _add_events(router, path, kind)


def _add_cancel_and_resume(
    router: APIRouter, path: str, kind: RunKind, model: type[BaseModel], describe: Describe
) -> None:
    noun = _noun(kind)

    @router.post(
        path + "/{run_id}/cancel",
        response_model=model,
        status_code=202,
        responses=problem_responses(404, 409, 422, 503),
        summary=f"Cancel {_an(noun)}",
    )
    async def cancel(state: Annotated[State, Depends(get_state)], run_id: RunId) -> BaseModel:
        """Ask the run to stop; a waiting one is cancelled at once. It can be resumed."""

        def work() -> BaseModel:
            request_cancel(state.db, kind.name, run_id)
            return describe(state.place, kind.get(state.db, run_id))

        return await run_in_threadpool(work)

    @router.post(
        path + "/{run_id}/resume",
        response_model=model,
        status_code=202,
        responses=problem_responses(404, 408, 409, 413, 422, 503),
        summary=f"Resume {_an(noun)}",
    )
    async def resume(
        state: Annotated[State, Depends(get_state)],
        run_id: RunId,
        body: Annotated[ResumeRequest | None, Body()] = None,
    ) -> BaseModel:
        """Put a stopped run in the queue again; committed images are not scored again."""

        def work() -> BaseModel:
            resume_run(state, kind, run_id, body or ResumeRequest())
            return describe(state.place, kind.get(state.db, run_id))

        return await run_in_threadpool(work)


def _add_delete(router: APIRouter, path: str, kind: RunKind) -> None:
    @router.delete(
        path + "/{run_id}",
        status_code=204,
        response_class=Response,
        responses=problem_responses(404, 409, 422, 503),
        summary=f"Delete {_an(_noun(kind))}",
    )
    async def delete(
        state: Annotated[State, Depends(get_state)],
        run_id: RunId,
        cascade: Annotated[
            bool, Query(description="Also delete a tagged run, and the runs that read its files.")
        ] = False,
    ) -> Response:
        """Delete the rows and the files of a run. A running one has to be cancelled first."""
        await run_in_threadpool(delete_with_files, state, kind, run_id, cascade)
        return Response(status_code=204)


def _add_events(router: APIRouter, path: str, kind: RunKind) -> None:
    text = {"type": "string"}
    event = {"type": "object", "properties": {"event": text, "data": text}}
    content = {"text/event-stream": {"schema": event}}
    description = "Events `progress` and, as the last one, `end`; the data is a ProgressResponse."

    @router.get(
        path + "/{run_id}/events",
        response_class=StreamingResponse,
        responses={
            **problem_responses(404, 422, 503),
            200: {"content": content, "description": description},
        },
        summary="Follow the progress",
    )
    async def events(
        state: Annotated[State, Depends(get_state)],
        run_id: RunId,
        wait_s: Annotated[
            float, Query(ge=0, le=86_400, allow_inf_nan=False, description="Maximum duration (s).")
        ] = 3600.0,
    ) -> StreamingResponse:
        """Send an event for each change: images done, rate, time left, failures, running metric."""
        stream = await progress_events(state, kind, run_id, wait_s)
        return StreamingResponse(stream, headers={"Content-Type": "text/event-stream"})


def resume_run(state: State, kind: RunKind, run_id: int, body: ResumeRequest) -> None:
    """Put a stopped run in the queue again.

    Raises:
        InputError: RUN_COMPLETED, RESUME_CHANGED, or what does not allow to resume it.
        Problem: 409, a process is working on it.
    """
    run = kind.get(state.db, run_id)
    kind.check_resumable(run)
    codes = error_codes(body.retry_failed)
    if run.status == "completed" and not codes:
        raise InputError(
            "RUN_COMPLETED",
            f"run {run_id} is completed. Expected one that has stopped; or set retry_failed.",
        )
    state.submission.check_unchanged(kind, run)
    if not requeue(state.db, kind.name, run_id, sorted(codes) if codes else None):
        raise Problem(409, "RUN_BUSY", "A process is working on this run. Cancel it first.")


def delete_with_files(state: State, kind: RunKind, run_id: int, cascade: bool) -> None:
    """Delete the rows and the files of a run: results, uploads, exports, pictures.

    Raises:
        InputError: RUN_IS_READ or RUN_IS_TAGGED, unless ``cascade`` is set.
    """
    run = kind.get(state.db, run_id)
    plan = deletion_of_run if kind is EVALUATION else deletion_of_inference_job
    plan(state.db, run, cascade=cascade).carry_out(state.db)
    state.pictures.forget(run)


def _noun(kind: RunKind) -> str:
    return "test run" if kind is EVALUATION else kind.words.noun


def _an(noun: str) -> str:
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"
