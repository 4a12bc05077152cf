"""``/training-jobs``: the registered models, their curves and what was done with them."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Form, Query
from pydantic import ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from snellen.adapters.errors import SnellenError
from snellen.serve.api.problems import Problem, problem_from_error, validation_problem
from snellen.serve.api.routes.training_jobs import register_inside
from snellen.serve.api.schemas import TrainingJobRequest
from snellen.serve.api.state import State, get_state
from snellen.serve.ui import rendering
from snellen.serve.ui.training_view import JobFilters, TrainingPage, read_job, read_jobs
from snellen.store.jobs import get_training_job

router = APIRouter(include_in_schema=False)
_LIST, _PAGE, _SECTION = "training_jobs.html", "training_job.html", "Training jobs"
_LONGEST_ID, _MAX_PAGE = 18, 1_000_000


@router.get("/training-jobs")
async def show(
    request: Request,
    state: Annotated[State, Depends(get_state)],
    text: Annotated[str, Query(max_length=500)] = "",
    task: Annotated[str, Query(max_length=100)] = "",
    page: Annotated[str, Query(max_length=100)] = "1",
) -> HTMLResponse:
    """Show the list of training jobs."""
    number = min(int(page), _MAX_PAGE) if page.isdecimal() and len(page) < 10 else 1
    filters = JobFilters(text.strip(), task, number)
    return await _list(request, state, filters)


@router.post("/training-jobs")
async def register(
    request: Request,
    state: Annotated[State, Depends(get_state)],
    path: Annotated[str, Form(max_length=5000)] = "",
    name: Annotated[str, Form(max_length=1000)] = "",
) -> Response:
    """Register a run directory and go to its page; or show what is wrong with it."""
    try:
        body = TrainingJobRequest(output_dir=path.strip(), name=name.strip() or None)
        job = await run_in_threadpool(register_inside, state, body)
    except ValidationError as error:
        problem = validation_problem(list(error.errors(include_url=False)))
    except Problem as found:
        problem = found
    except SnellenError as error:
        problem = problem_from_error(error)
    else:
        return RedirectResponse(f"{rendering.prefix_of(request)}/training-jobs/{job.id}", 303)
    response = await _list(request, state, JobFilters(), problem, (path, name))
    response.status_code = problem.status
    return response


@router.get("/training-jobs/{ref:path}")
async def show_job(
    request: Request, state: Annotated[State, Depends(get_state)], ref: str
) -> HTMLResponse:
    """Show a training job."""
    if ref.isdecimal() and len(ref) > _LONGEST_ID:
        raise Problem(404, "JOB_NOT_FOUND", "There is no such training job.")

    def work() -> TrainingPage:
        return read_job(state, get_training_job(state.db, ref))

    return rendering.page(request, _PAGE, _SECTION, page=await run_in_threadpool(work))


async def _list(
    request: Request,
    state: State,
    filters: JobFilters,
    problem: Problem | None = None,
    given: tuple[str, str] = ("", ""),
) -> HTMLResponse:
    return rendering.page(
        request,
        _LIST,
        _SECTION,
        list=await run_in_threadpool(read_jobs, state, filters),
        has_roots=bool(state.place.roots),
        problem=problem,
        given=given,
    )
