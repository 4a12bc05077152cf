"""``/new``: submit a test run from a form that is checked while it is filled in."""

from __future__ import annotations

from typing import Annotated

from anyio import to_thread
from fastapi import APIRouter, Depends
from pydantic import ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from snellen.adapters.errors import SnellenError
from snellen.serve.api.problems import Problem, problem_from_error
from snellen.serve.api.state import State, get_state
from snellen.serve.ui import rendering
from snellen.serve.ui.run_form import RunForm, check_form, dataset_names
from snellen.serve.ui.single_view import checkpoint_choices, job_choices

router = APIRouter(include_in_schema=False)
_TEMPLATE, _SECTION = "new_run.html", "Runs"


@router.get("/new")
async def show(request: Request, state: Annotated[State, Depends(get_state)]) -> HTMLResponse:
    """Show the form; its fields can be given in the address."""
    return await _page(request, state, RunForm.of(request.query_params))


@router.get("/ui/new/check")
async def check(request: Request, state: Annotated[State, Depends(get_state)]) -> HTMLResponse:
    """Return what is known of the dataset: format, counts, classes."""
    form = RunForm.of(request.query_params)
    found = await to_thread.run_sync(check_form, state, form, limiter=state.submitting)
    return rendering.part(request, "new_run_check.html", check=found)


@router.post("/new")
async def submit(request: Request, state: Annotated[State, Depends(get_state)]) -> Response:
    """Submit the run and go to its page; or show the form again with what is wrong."""
    async with request.form(max_fields=2000) as fields:
        form = RunForm.of({key: value for key, value in fields.items() if isinstance(value, str)})
    try:
        run = await to_thread.run_sync(
            state.submission.submit_test_run, form.request(), limiter=state.submitting
        )
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        return await _page(
            request, state, form, Problem(422, "VALIDATION", f"{place}: {first['msg']}.")
        )
    except Problem as problem:
        return await _page(request, state, form, problem)
    except SnellenError as error:
        return await _page(request, state, form, problem_from_error(error))
    return RedirectResponse(f"{rendering.prefix_of(request)}/runs/{run.id}", 303)


async def _page(
    request: Request, state: State, form: RunForm, problem: Problem | None = None
) -> HTMLResponse:
    jobs = await run_in_threadpool(job_choices, state.db)
    job = form.job if form.job in {value for value, _ in jobs} else (jobs[0][0] if jobs else None)
    known = await run_in_threadpool(checkpoint_choices, state.db, job) if job is not None else []
    names = await run_in_threadpool(dataset_names, state)
    found = rendering.page(
        request,
        _TEMPLATE,
        _SECTION,
        form=form,
        jobs=jobs,
        job=job,
        checkpoints=known,
        datasets=names,
        has_roots=bool(state.place.roots),
        problem=problem,
    )
    found.status_code = 200 if problem is None else problem.status
    return found
