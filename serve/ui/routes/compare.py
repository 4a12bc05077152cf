"""``/compare``: two test runs side by side, with the verdict and what changed."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import urlencode

from anyio import to_thread
from fastapi import APIRouter, Depends, FastAPI, Query
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse

from snellen.adapters.errors import SnellenError
from snellen.serve.api.problems import problem_from_error
from snellen.serve.api.state import State, get_state
from snellen.serve.ui import rendering
from snellen.serve.ui.compare_page.changes import (
    KINDS,
    ChangeQuery,
    class_counts,
    has_objects,
    read_changes,
)
from snellen.serve.ui.compare_page.comparisons import Comparison, Comparisons, run_choices
from snellen.serve.ui.compare_page.image_pair import read_pair, read_tiles
from snellen.serve.ui.run_page.filters import ImageFilters

router = APIRouter(include_in_schema=False)
_TEMPLATE, _RESULT, _CHANGED = "compare.html", "compare_result.html", "compare_changed.html"
_SECTION, _PROBLEM = "Compare", "single_problem.html"
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
    shown = {key: value for key, value in request.query_params.items() if key not in ("a", "b")}
    return rendering.page(
        request,
        _TEMPLATE,
        _SECTION,
        choices=await run_in_threadpool(run_choices, state.db),
        chosen=chosen,
        runs=runs,
        query=urlencode({"a": chosen[0], "b": chosen[1], **shown}),
    )


@router.get("/ui/compare")
async def compute(
    request: Request, state: Annotated[State, Depends(get_state)], a: RunQuery, b: RunQuery
) -> HTMLResponse:
    """Return the comparison of two runs, or why they cannot be compared."""
    return await _part(request, state, (a, b), _RESULT)


@router.get("/ui/compare/changed")
async def changed(
    request: Request, state: Annotated[State, Depends(get_state)], a: RunQuery, b: RunQuery
) -> HTMLResponse:
    """Return the images or objects that changed, with one of them under both runs."""
    return await _part(request, state, (a, b), _CHANGED)


async def _part(
    request: Request, state: State, runs: tuple[str, str], template: str
) -> HTMLResponse:
    comparisons: Comparisons = request.app.state.comparisons

    def work() -> dict[str, Any]:
        found = comparisons.of(*comparisons.pair(*runs))
        return _changed(request, state, found) | {"one": found, "versus": found.found}

    try:
        values = await to_thread.run_sync(work, limiter=state.submitting)
    except SnellenError as error:
        return rendering.part(request, _PROBLEM, problem=problem_from_error(error))
    return rendering.part(request, template, **values)


def _changed(request: Request, state: State, found: Comparison) -> dict[str, Any]:
    query = ChangeQuery.of(found, request.query_params)
    changes = read_changes(found, query)
    known = {kind: found.found[query.unit][kind]["count"] for kind in KINDS[query.unit]}
    return {
        "changes": changes,
        "kinds": [(kind, *KINDS[query.unit][kind], count) for kind, count in known.items()],
        "pair": read_pair(state, found, changes) if changes.total else None,
        "tiles": read_tiles(state, found, changes),
        "has_objects": has_objects(found),
        "class_counts": class_counts(found),
        "slice_query": lambda by, value: ImageFilters().only(slice_by=by, slice_value=value),
    }
