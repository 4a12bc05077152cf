"""The run that a request asks for, as a dependency of the pages of a run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated
from urllib.parse import parse_qsl, urlsplit

from fastapi import Depends, FastAPI
from starlette.requests import Request

from snellen.adapters.errors import RunError
from snellen.pipelines.runs.evaluation import EVALUATION
from snellen.serve.api.runs.images import OpenedRun
from snellen.serve.api.state import State, get_state
from snellen.serve.ui import rendering
from snellen.serve.ui.routes.run_controls import find_run
from snellen.serve.ui.run_page.computed import Computed
from snellen.serve.ui.run_page.filters import ImageFilters
from snellen.serve.ui.run_page.found_objects import FoundObjects
from snellen.serve.ui.run_page.grid import known_filters
from snellen.serve.ui.run_page.overview import class_names, has_objects
from snellen.store.views import RunView


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

    @property
    def prefix(self) -> str:
        """Return the path below which a proxy serves the application."""
        return rendering.prefix_of(self.request)

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
    run, kept = await find_run(state, EVALUATION, ref), request.app.state
    return Viewed(request, state, kept.computed, kept.objects, run)


View = Annotated[Viewed, Depends(viewed)]


def filters_of_page(request: Request, run: RunView) -> ImageFilters:
    """Return the filters of the page that a part of it is asked from."""
    query = dict(parse_qsl(urlsplit(request.headers.get("HX-Current-URL", "")).query))
    return ImageFilters.parse(query, class_names(run), objects=has_objects(run))


def known_list(view: Viewed, opened: OpenedRun) -> ImageFilters:
    """Return the filters in the query that the rows of the run have."""
    filters = known_filters(view.state, opened, view.filters)
    return filters if view.run.status == "completed" else filters.without_cells()
