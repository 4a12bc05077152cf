"""``/compare``: two test runs side by side, with the verdict and the images that changed."""

from __future__ import annotations

from typing import Annotated

from anyio import to_thread
from fastapi import APIRouter, Depends, FastAPI, Query
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse

from snellen.adapters.errors import SnellenError
from snellen.serve.api.problems import problem_from_error
from snellen.serve.api.state import State, get_state
from snellen.serve.ui import rendering
from snellen.serve.ui.comparisons import Comparison, Comparisons, run_choices

router = APIRouter(include_in_schema=False)
_TEMPLATE, _RESULT, _SECTION = "compare.html", "compare_result.html", "Compare"
RunQuery = Annotated[str, Query(max_length=300)]


def attach(app: FastAPI) -> None:
    """Give the application the comparisons that its pages share."""
    app.state.comparisons = Comparisons(app.state.snellen.db)


@router.get("/compare")
async def show(
    request: Request,
    state: Annotated[State, Depends(get_state)],
    a: RunQuery = "",
    b: RunQuery = "",
) -> HTMLResponse:
    """Show the page; the comparison is computed after it."""
    comparisons: Comparisons = request.app.state.comparisons
    runs = await run_in_threadpool(comparisons.pair, a, b) if a and b else None
    chosen = tuple(str(run.id) for run in runs) if runs else (a, b)
    return rendering.page(
        request,
        _TEMPLATE,
        _SECTION,
        choices=await run_in_threadpool(run_choices, state.db),
        chosen=chosen,
        runs=runs,
    )


@router.get("/ui/compare")
async def compute(
    request: Request, state: Annotated[State, Depends(get_state)], a: RunQuery, b: RunQuery
) -> HTMLResponse:
    """Return the comparison of two runs, or why they cannot be compared."""
    comparisons: Comparisons = request.app.state.comparisons

    def work() -> Comparison:
        return comparisons.of(*comparisons.pair(a, b))

    try:
        found = await to_thread.run_sync(work, limiter=state.submitting)
    except SnellenError as error:
        problem = problem_from_error(error)
        return rendering.part(request, "single_problem.html", problem=problem)
    return rendering.part(request, _RESULT, one=found, versus=found.found)
