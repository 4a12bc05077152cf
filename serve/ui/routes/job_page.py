"""``/inference-jobs/{job}``: an inference job with its predictions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Depends
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse

from snellen.adapters.errors import RunError
from snellen.pipelines.runs.prediction import PREDICTION
from snellen.serve.api.bodies.image_bodies import InferenceImageResponse
from snellen.serve.api.problems import Problem
from snellen.serve.api.runs.images import OpenedRun
from snellen.serve.api.state import State, get_state
from snellen.serve.ui import rendering
from snellen.serve.ui.export_list import read_exports
from snellen.serve.ui.predictions.job_overview import job_names, job_path, read_overview
from snellen.serve.ui.predictions.predicted_grid import (
    export_command,
    parse_filters,
    read_predictions,
)
from snellen.serve.ui.routes.run_controls import add_controls, find_run
from snellen.serve.ui.run_page.filters import ImageFilters
from snellen.serve.ui.run_page.grid import Grid, known_filters
from snellen.serve.ui.run_page.image_detail import read_detail
from snellen.serve.ui.single_view import SingleView, single_view
from snellen.store.views import InferenceJobView

router = APIRouter(include_in_schema=False)
_SECTION, _LONGEST_INDEX = "Runs", 9


@dataclass(frozen=True, slots=True)
class ViewedJob:
    """An inference job that a request asks for."""

    request: Request
    state: State
    run: InferenceJobView

    @property
    def filters(self) -> ImageFilters:
        """Return the filters in the query."""
        return parse_filters(self.request.query_params, job_names(self.run))

    def open(self) -> OpenedRun | None:
        """Open the result rows; None for a job that has no files (yet)."""
        try:
            opened = self.state.pages.open(self.run)
        except RunError:
            return None
        return opened if opened.results.records else None


async def viewed_job(
    request: Request, ref: str, state: Annotated[State, Depends(get_state)]
) -> ViewedJob:
    """Return the inference job with an id or a name, as a dependency."""
    return ViewedJob(request, state, await find_run(state, PREDICTION, ref))


Job = Annotated[ViewedJob, Depends(viewed_job)]


add_controls(router, "/ui/inference-jobs", PREDICTION)


@router.get("/inference-jobs/{ref}/images/{index}")
async def show_image(view: Job, index: str) -> HTMLResponse:
    """Show an image of a job; the query is that of the list one came from."""
    if not index.isdecimal() or len(index) > _LONGEST_INDEX:
        raise Problem(404, "IMAGE_NOT_FOUND", "The inference job has no such image.")
    values = await run_in_threadpool(_image, view, int(index))
    return rendering.page(view.request, "image.html", _SECTION, **values)


@router.get("/inference-jobs/{ref:path}")
async def show(view: Job) -> HTMLResponse:
    """Show an inference job."""
    values = await run_in_threadpool(_page, view)
    response = rendering.page(view.request, "job.html", _SECTION, **values)
    if view.request.headers.get("HX-Request") and values["grid"] is not None:
        grid: Grid = values["grid"]
        prefix = rendering.prefix_of(view.request)
        response.headers["HX-Push-Url"] = f"{prefix}{job_path(view.run)}{grid.filters.own_query}"
    return response


def _image(view: ViewedJob, number: int) -> dict[str, Any]:
    opened = view.state.pages.open(view.run)
    filters = known_filters(view.state, opened, view.filters)
    detail = read_detail(view.state, opened, number, (filters, view.request.app.state.objects))
    return {"detail": detail, "path": job_path(view.run)}


def _page(view: ViewedJob) -> dict[str, Any]:
    opened = view.open()
    try:
        return {"unreadable": "", **_values(view, opened)}
    except RunError as error:
        return {"unreadable": error.code, **_values(view, None)}


def _values(view: ViewedJob, opened: OpenedRun | None) -> dict[str, Any]:
    """Return the variables of the page; ``opened`` None has no rows (yet).

    Raises:
        RunError: RESULTS_MISSING.
    """
    state, run, filters, grid = view.state, view.run, view.filters, None
    page = read_overview(state, run, opened)
    if opened is not None:
        filters = known_filters(state, opened, filters)
        grid = read_predictions(state, opened, filters)
    ended = page.is_completed or page.is_recorded
    return {
        "run": run,
        "page": page,
        "grid": grid,
        "now": None if ended else state.progress.of(PREDICTION, run.id),
        "recorded": _recorded(view) if page.is_recorded else None,
        "exports": read_exports(state, run),
        "command": export_command(run.id, filters),
    }


def _recorded(view: ViewedJob) -> SingleView | None:
    """Return the prediction of a recorded request; None for one that failed."""
    found: list[InferenceImageResponse] = view.state.pages.predictions(view.run, 0, 1, "ok").results
    return single_view(found[0]) if found else None
