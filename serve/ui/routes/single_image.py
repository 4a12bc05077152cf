"""``/single``: predict one image that is dropped on the page."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse

from snellen.serve.api.bodies.single_bodies import SingleInferenceQuery
from snellen.serve.api.problems import Problem
from snellen.serve.api.routes.single import infer_single
from snellen.serve.api.schemas import MAX_ID
from snellen.serve.api.state import State, get_state
from snellen.serve.api.uploads.upload_paths import SINGLE_PAGE
from snellen.serve.ui import rendering
from snellen.serve.ui.single_view import (
    SingleView,
    checkpoint_choices,
    is_explainable,
    job_choices,
    single_view,
)

router = APIRouter(include_in_schema=False)
_TEMPLATE, _SECTION = "single.html", "Single image"
JobQuery = Annotated[int | None, Query(ge=1, le=MAX_ID)]


@router.get("/single")
async def show(
    request: Request, state: Annotated[State, Depends(get_state)], job: JobQuery = None
) -> HTMLResponse:
    """Show the page."""
    jobs = await run_in_threadpool(job_choices, state.db)
    chosen = job if job is not None else (jobs[0][0] if jobs else None)
    known = (
        await run_in_threadpool(checkpoint_choices, state.db, chosen) if chosen is not None else []
    )
    return rendering.page(
        request,
        _TEMPLATE,
        _SECTION,
        jobs=jobs,
        job=chosen,
        checkpoints=known,
        limits=state.config.limits,
    )


@router.get("/ui/checkpoints")
async def checkpoints(
    request: Request,
    state: Annotated[State, Depends(get_state)],
    training_job_id: Annotated[int, Query(ge=1, le=MAX_ID)],
) -> HTMLResponse:
    """Return the choices of checkpoints of a training job."""
    known = await run_in_threadpool(checkpoint_choices, state.db, training_job_id)
    return rendering.part(request, "checkpoint_options.html", checkpoints=known)


@router.post(SINGLE_PAGE)
async def predict(request: Request, state: Annotated[State, Depends(get_state)]) -> HTMLResponse:
    """Predict an uploaded image; return what is drawn over it, and the lists beside it."""
    try:
        result = await infer_single(request, state, SingleInferenceQuery())
    except Problem as problem:
        found = rendering.part(request, "single_problem.html", problem=problem)
        found.status_code = problem.status
        return found

    def work() -> SingleView:
        return single_view(result, can_explain=is_explainable(state.db, result))

    view = await run_in_threadpool(work)
    return rendering.part(request, "single_result.html", view=view)
