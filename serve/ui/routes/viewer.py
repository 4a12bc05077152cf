"""``/runs/{run}``: a test run with its numbers, its errors and its images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, FastAPI
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from snellen.adapters.errors import RunError
from snellen.analysis.report import sections
from snellen.pipelines.runs.evaluation import EVALUATION
from snellen.serve.api.bodies.run_bodies import ProgressResponse, ResumeRequest
from snellen.serve.api.problems import Problem
from snellen.serve.api.routes.run_actions import delete_with_files, resume_run
from snellen.serve.api.runs.images import OpenedRun
from snellen.serve.api.runs.progress import ENDED
from snellen.serve.api.state import State, get_state
from snellen.serve.ui import rendering
from snellen.serve.ui.run_page.computed import Computed
from snellen.serve.ui.run_page.equivalent import listing_command
from snellen.serve.ui.run_page.filters import ImageFilters
from snellen.serve.ui.run_page.found_objects import FoundObjects
from snellen.serve.ui.run_page.grid import Grid, known_filters, read_images
from snellen.serve.ui.run_page.object_tiles import read_objects
from snellen.serve.ui.run_page.operating import read_operating
from snellen.serve.ui.run_page.overview import (
    Overview,
    class_names,
    has_objects,
    read_overview,
)
from snellen.store.kinds import TEST_RUN
from snellen.store.leases import request_cancel
from snellen.store.runs import get_test_run
from snellen.store.views import RunView

router = APIRouter(include_in_schema=False)
_SECTION = "Runs"
_LONGEST_ID = 18
Action = Literal["cancel", "resume"]


@dataclass(frozen=True, slots=True)
class Viewed:
    """A run that a request asks for, with what it asks of it."""

    request: Request
    state: State
    computed: Computed
    objects: FoundObjects
    run: RunView

    @property
    def filters(self) -> ImageFilters:
        """Return the filters in the query."""
        query = self.request.query_params
        return ImageFilters.parse(query, class_names(self.run), objects=has_objects(self.run))

    def open(self) -> OpenedRun | None:
        """Open the result rows; None for a run that has none yet."""
        try:
            return self.state.pages.open(self.run)
        except RunError:
            return None


def attach(app: FastAPI) -> None:
    """Give the application its memory of computed numbers and of objects."""
    db = app.state.snellen.db
    app.state.computed, app.state.objects = Computed(db), FoundObjects(db)


async def viewed(request: Request, ref: str, state: Annotated[State, Depends(get_state)]) -> Viewed:
    """Return the run with an id, a tag or a name, as a dependency."""
    if ref.isdecimal() and len(ref) > _LONGEST_ID:
        raise Problem(404, "RUN_NOT_FOUND", "There is no such run.")
    run = await run_in_threadpool(get_test_run, state.db, ref)
    kept = request.app.state
    return Viewed(request, state, kept.computed, kept.objects, run)


View = Annotated[Viewed, Depends(viewed)]


@router.get("/ui/runs/{ref}/live")
async def live(view: View) -> HTMLResponse:
    """Return the progress of a run; once it has ended, the page loads again."""
    now = await run_in_threadpool(view.state.progress.of, EVALUATION, view.run.id)
    response = rendering.part(view.request, "run_live.html", now=now, page=view.run)
    if now.status in ENDED:
        response.headers["HX-Refresh"] = "true"
    return response


@router.get("/ui/runs/{ref}/errors")
async def errors(view: View) -> HTMLResponse:
    """Return the section of the errors, which needs every result file."""
    values = await run_in_threadpool(lambda: _errors_section(view))
    return rendering.part(view.request, "run_errors.html", **values)


@router.get("/ui/runs/{ref}/operating")
async def operating(view: View) -> HTMLResponse:
    """Return the section of the operating point and the curves."""
    values = await run_in_threadpool(lambda: _operating_section(view))
    return rendering.part(view.request, "run_operating.html", **values)


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
    prefix = rendering.prefix_of(view.request)
    return Response(status_code=204, headers={"HX-Redirect": f"{prefix}/"})


@router.get("/runs/{ref:path}")
async def show(view: View) -> HTMLResponse:
    """Show a run."""
    values = await run_in_threadpool(lambda: _page(view))
    response = rendering.page(view.request, "run.html", _SECTION, **values)
    if view.request.headers.get("HX-Request") and values["grid"] is not None:
        grid: Grid = values["grid"]
        address = (
            f"{rendering.prefix_of(view.request)}{values['page'].path}{grid.filters.own_query}"
        )
        response.headers["HX-Push-Url"] = address
    return response


def _page(view: Viewed) -> dict[str, Any]:
    opened = view.open()
    page = read_overview(view.state, view.run, view.filters)
    values: dict[str, Any] = {"page": page, "run": view.run, "now": None}
    values |= {"grid": None, "errors": None, "operating": None, "unreadable": ""}
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
        values |= _errors_section(view)
    if page.is_completed and view.computed.is_ready(opened, "curves", "counts"):
        values |= _operating_section(view)
    return values


def known_list(view: Viewed, opened: OpenedRun) -> ImageFilters:
    """Return the filters in the query that the rows of the run have."""
    filters = known_filters(view.state, opened, view.filters)
    return filters if view.run.status == "completed" else filters.without_cells()


def _grid(view: Viewed, opened: OpenedRun) -> Grid:
    filters = known_list(view, opened)
    if filters.is_objects:
        return read_objects(view.state, opened, filters, view.objects)
    return read_images(view.state, opened, filters, has_objects(view.run))


def _command(view: Viewed, page: Overview, grid: Grid | None) -> str:
    if grid is None:
        return f"snellen show {page.run.id}"
    service = f"{view.request.url.scheme}://{view.request.url.netloc}"
    return listing_command(grid.filters, page.run.id, service + rendering.prefix_of(view.request))


def _progress(view: Viewed) -> ProgressResponse:
    return view.state.progress.of(EVALUATION, view.run.id)


def _errors_section(view: Viewed) -> dict[str, Any]:
    """Return the variables of the section of the errors.

    Raises:
        InputError: RUN_NOT_COMPLETED.
    """
    summary = view.computed.errors(view.state.pages.open(view.run))
    found = sections.errors(summary)
    lists = ImageFilters(tuple(class_names(view.run)))
    for bucket in found.get("buckets", ()):
        bucket["href"] = lists.only(view="objects", bucket=bucket["bucket"])
    for pair in found.get("pairs", ()):
        pair["href"] = lists.only(
            true_class=pair["true_id"], predicted_class=pair["predicted_id"], status="ok"
        )
    return {"errors": found, "run": view.run}


def _operating_section(view: Viewed) -> dict[str, Any]:
    """Return the variables of the section of the operating point."""
    opened = view.state.pages.open(view.run)
    return {"operating": read_operating(view.computed, opened), "run": view.run}
