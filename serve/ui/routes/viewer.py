"""``/runs/{run}``: a test run with its numbers, its errors and its images."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from starlette.concurrency import run_in_threadpool
from starlette.responses import HTMLResponse

from snellen.adapters.errors import RunError
from snellen.pipelines.runs.evaluation import EVALUATION
from snellen.serve.api.bodies.run_bodies import ProgressResponse
from snellen.serve.api.runs.images import OpenedRun
from snellen.serve.ui import rendering
from snellen.serve.ui.routes.requested_run import View, Viewed, known_list
from snellen.serve.ui.routes.run_controls import add_controls
from snellen.serve.ui.routes.run_sections import (
    errors_section,
    is_stored,
    matrix_section,
    operating_section,
)
from snellen.serve.ui.run_page.equivalent import listing_command
from snellen.serve.ui.run_page.grid import Grid, read_images
from snellen.serve.ui.run_page.object_tiles import read_objects
from snellen.serve.ui.run_page.overview import Overview, has_objects, read_overview

router = APIRouter(include_in_schema=False)
_SECTION = "Runs"


add_controls(router, "/ui/runs", EVALUATION)


@router.get("/runs/{ref:path}")
async def show(view: View) -> HTMLResponse:
    """Show a run."""
    values = await run_in_threadpool(lambda: _page(view))
    response = rendering.page(view.request, "run.html", _SECTION, **values)
    headers = view.request.headers
    filtered = headers.get("HX-Request") and headers.get("HX-Trigger") != "images"
    if filtered and values["grid"] is not None:  # the list of a live run also asks by itself
        grid: Grid = values["grid"]
        address = f"{view.prefix}{values['page'].path}{grid.filters.own_query}"
        response.headers["HX-Push-Url"] = address
    return response


def _page(view: Viewed) -> dict[str, Any]:
    opened = view.open()
    page = read_overview(view.state, view.run, view.filters)
    values: dict[str, Any] = {"page": page, "run": view.run, "now": None}
    values |= {"grid": None, "errors": None, "operating": None, "unreadable": ""}
    values |= {"matrix": page.matrix, "at": None}
    try:
        values |= _of_files(view, page, opened)
    except RunError as error:
        values["unreadable"] = error.code
    values["command"] = _command(view, page, values["grid"])
    if not page.is_completed:
        values["now"] = _progress(view)
    return values


def _of_files(view: Viewed, page: Overview, opened: OpenedRun | None) -> dict[str, Any]:
    """Return what is read from the result files, as far as it is known or quickly computed.

    Raises:
        RunError: RESULTS_MISSING.
    """
    if opened is None:
        return {}
    values: dict[str, Any] = {"grid": _grid(view, opened)}
    if page.is_completed and view.computed.is_ready(opened, "errors"):
        values |= errors_section(view)
    if page.is_completed and view.computed.is_ready(opened, "curves", "counts"):
        values |= operating_section(view)
    at = view.filters.at
    if at is not None and page.is_completed and page.matrix and is_stored(view, at):
        ready = view.computed.is_ready(opened, "counts", ("matrix", at))
        values |= matrix_section(view) if ready else {"matrix": None, "at": at}
    return values


def _grid(view: Viewed, opened: OpenedRun) -> Grid:
    filters = known_list(view, opened)
    if filters.is_objects:
        return read_objects(view.state, opened, filters, view.objects)
    return read_images(view.state, opened, filters, has_objects(view.run))


def _command(view: Viewed, page: Overview, grid: Grid | None) -> str:
    if grid is None:
        return f"snellen show {page.run.id}"
    service = f"{view.request.url.scheme}://{view.request.url.netloc}"
    return listing_command(grid.filters, page.run.id, service + view.prefix)


def _progress(view: Viewed) -> ProgressResponse:
    return view.state.progress.of(EVALUATION, view.run.id)
