"""``/runs/{run}``: a test run with its numbers, its errors and its images."""

from __future__ import annotations

from typing import Any, Literal

from fastapi import APIRouter
from starlette.concurrency import run_in_threadpool
from starlette.responses import HTMLResponse, Response

from snellen.adapters.errors import RunError
from snellen.pipelines.runs.evaluation import EVALUATION
from snellen.serve.api.bodies.run_bodies import ProgressResponse, ResumeRequest
from snellen.serve.api.routes.run_actions import delete_with_files, resume_run
from snellen.serve.api.runs.images import OpenedRun
from snellen.serve.api.runs.progress import ENDED
from snellen.serve.ui import rendering
from snellen.serve.ui.routes.requested_run import View, Viewed, known_list
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
from snellen.store.kinds import TEST_RUN
from snellen.store.leases import request_cancel

router = APIRouter(include_in_schema=False)
_SECTION = "Runs"
Action = Literal["cancel", "resume"]


@router.get("/ui/runs/{ref}/live")
async def live(view: View) -> HTMLResponse:
    """Return the progress of a run; once it has ended, the page loads again."""
    now = await run_in_threadpool(view.state.progress.of, EVALUATION, view.run.id)
    response = rendering.part(view.request, "run_live.html", now=now, page=view.run)
    if now.status in ENDED:
        response.headers["HX-Refresh"] = "true"
    return response


@router.post("/ui/runs/{ref}/{action}")
async def act(view: View, action: Action) -> Response:
    """Cancel or resume a run; the page loads again."""

    def work() -> None:
        if action == "cancel":
            request_cancel(view.state.db, TEST_RUN, view.run.id)
        else:
            resume_run(view.state, EVALUATION, view.run.id, ResumeRequest())

    await run_in_threadpool(work)
    return Response(status_code=204, headers={"HX-Refresh": "true"})


@router.delete("/ui/runs/{ref}")
async def delete(view: View) -> Response:
    """Delete a run with its rows and files; the list of runs takes its place."""
    await run_in_threadpool(delete_with_files, view.state, EVALUATION, view.run.id, cascade=False)
    return Response(status_code=204, headers={"HX-Redirect": f"{view.prefix}/"})


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
