"""Sections of a run's page that need every result file: they follow the page."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any

from fastapi import APIRouter, Query
from starlette.concurrency import run_in_threadpool
from starlette.responses import HTMLResponse

from snellen.analysis.reader import owner_of
from snellen.analysis.report import sections
from snellen.analysis.rescore import measured_of
from snellen.serve.api.problems import Problem
from snellen.serve.ui import rendering
from snellen.serve.ui.formats import shortest
from snellen.serve.ui.routes.requested_run import View, Viewed, filters_of_page
from snellen.serve.ui.run_page.filters import ImageFilters
from snellen.serve.ui.run_page.matrix import matrix_cells
from snellen.serve.ui.run_page.operating import read_operating
from snellen.serve.ui.run_page.overview import class_names, has_objects
from snellen.store.views import RunView

router = APIRouter(include_in_schema=False)
AllStored = Annotated[bool, Query(alias="all")]


@router.get("/ui/runs/{ref}/errors")
async def errors(view: View, every: AllStored = False) -> HTMLResponse:
    """Return the section of the errors: at the operating point, or of all stored predictions."""
    every = every and has_objects(view.run)
    values = await run_in_threadpool(lambda: errors_section(view, every=every))
    return rendering.part(view.request, "run_errors.html", **values)


@router.get("/ui/runs/{ref}/operating")
async def operating(view: View) -> HTMLResponse:
    """Return the section of the operating point and the curves."""
    values = await run_in_threadpool(lambda: operating_section(view))
    return rendering.part(view.request, "run_operating.html", **values)


@router.get("/ui/runs/{ref}/matrix")
async def matrix(view: View) -> HTMLResponse:
    """Return the confusion matrix at a threshold, which becomes that of the page's address."""
    values = await run_in_threadpool(lambda: matrix_section(view))
    response = rendering.part(view.request, "run_matrix.html", **values)
    filters = filters_of_page(view.request, view.run)
    address = replace(filters, at=values["at"]).own_query
    response.headers["HX-Replace-Url"] = f"{view.prefix}/runs/{view.run.id}{address}"
    return response


def errors_section(view: Viewed, *, every: bool = False) -> dict[str, Any]:
    """Return the variables of the section of the errors.

    Args:
        view: the run.
        every: of all stored predictions, instead of those at the operating point.

    Raises:
        InputError: RUN_NOT_COMPLETED.
    """
    least = 0.0 if every else None
    summary = view.computed.errors(view.state.pages.open(view.run), least)
    found = sections.errors(summary)
    lists = ImageFilters(tuple(class_names(view.run)), at=least)
    for bucket in found.get("buckets", ()):
        bucket["href"] = lists.only(view="objects", bucket=bucket["bucket"])
    for pair in found.get("pairs", ()):
        pair["href"] = lists.only(
            true_class=pair["true_id"], predicted_class=pair["predicted_id"], status="ok"
        )
    return {"errors": found, "run": view.run, "every": every}


def operating_section(view: Viewed) -> dict[str, Any]:
    """Return the variables of the section of the operating point."""
    opened = view.state.pages.open(view.run)
    found = read_operating(view.computed, opened, view.filters.at)
    return {"operating": found, "run": view.run, "has_matrix": _has_matrix(view)}


def matrix_section(view: Viewed) -> dict[str, Any]:
    """Return the variables of the confusion matrix at the threshold in the query.

    Raises:
        Problem: 422, the run has no matrix of objects, or fewer predictions than that are stored.
    """
    run, filters = view.run, view.filters
    if not _has_matrix(view):
        raise Problem(422, "VALIDATION", "The run has no confusion matrix of objects.")
    counted = run.confusion_matrix
    if filters.at is not None:
        if not is_stored(view, filters.at):
            raise Problem(
                422, "VALIDATION", f"Predictions below {shortest(filters.at)} are not stored."
            )
        counted = view.computed.matrix(view.state.pages.open(run), filters.at)
    cells = matrix_cells(counted, filters, objects=True)
    return {"matrix": cells, "at": filters.at, "run": run}


def is_stored(view: Viewed, confidence: float) -> bool:
    """Return True if all predictions of a confidence are in the result files."""
    owner = owner_of(view.state.db, view.run)
    assert isinstance(owner, RunView)
    least = measured_of(owner).min_confidence
    return confidence >= (least or 0.0)


def _has_matrix(view: Viewed) -> bool:
    return has_objects(view.run) and bool(view.run.confusion_matrix)
