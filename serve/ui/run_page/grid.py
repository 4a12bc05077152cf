"""One page of a list of images or objects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from snellen.adapters.errors import ConfigError
from snellen.serve.api.runs.image_index import ImageIndex
from snellen.serve.api.runs.images import OpenedRun
from snellen.serve.api.state import State
from snellen.serve.ui.formats import count, shortest
from snellen.serve.ui.run_page.filters import (
    IMAGES,
    MATCHES,
    PAGE_TILES,
    Chip,
    ImageFilters,
)
from snellen.serve.ui.run_page.tiles import COLUMNS, Tile, make_tile

_IMAGE_SORTS = {
    "": "Manifest order",
    "-fn": "Most false negatives",
    "-fp": "Most false positives",
    "iou": "Lowest IoU",
    "-confidence": "Most confident",
    "confidence": "Least confident",
    "image_id": "Name",
    "-inference_time_ms": "Slowest",
}
_CLASS_SORTS = {
    "": "Manifest order",
    "-confidence": "Most confident",
    "confidence": "Least confident",
    "-loss": "Highest loss",
    "true_confidence": "Least confident in the ground truth",
    "image_id": "Name",
    "-inference_time_ms": "Slowest",
}
_OBJECT_SORTS = {
    "": "Image order",
    "-confidence": "Most confident",
    "confidence": "Least confident",
    "overlap": "Lowest overlap",
}


@dataclass(frozen=True, slots=True)
class Grid:
    """A page for the template.

    Attributes:
        filters: conditions, order and page.
        tiles: at most 60.
        total: number of images or objects on all pages.
        images: number of images that the listed objects are in.
        shows: value, label and number of images of the choices of correctness and status.
        sorts: the orders that the view has: value and label.
        noun: of what is listed.
    """

    filters: ImageFilters
    tiles: Sequence[Tile | Any]
    total: int
    images: int
    shows: list[tuple[str, str, int]]
    sorts: dict[str, str]
    noun: str

    @property
    def pages(self) -> int:
        """Return the number of pages."""
        return max(1, -(-self.total // PAGE_TILES))

    @property
    def is_full(self) -> bool:
        """Return True if more images do not change the page."""
        return self.total >= self.filters.page * PAGE_TILES

    @property
    def range(self) -> str:
        """Return the place of the page: ``images 61–120 of 1,284``."""
        first = (self.filters.page - 1) * PAGE_TILES
        last = min(first + PAGE_TILES, self.total)
        return f"{self.noun} {count(first + 1)}–{count(last)} of {count(self.total)}"

    @property
    def show(self) -> str:
        """Return the choice of correctness and status that is set; ``-`` for another one."""
        asked = (self.filters.correct, self.filters.status)
        return {(None, None): "", (False, None): "errors", (None, "failed"): "failed"}.get(
            asked, "-"
        )

    @property
    def chips(self) -> list[Chip]:
        """Return the filters that are set and that no other control shows."""
        return [chip for chip in self.filters.chips if chip.name in self.kept]

    @property
    def confidences(self) -> list[str]:
        """Return the choices of a minimum confidence, with the one that is set."""
        steps = {0.001, 0.1, 0.25, 0.5, 0.75, 0.9, self.filters.min_confidence or 0.5}
        return [shortest(value) for value in sorted(steps)]

    @property
    def hidden(self) -> dict[str, str]:
        """Return the query without the page."""
        return self.filters.values()

    @property
    def kept(self) -> dict[str, str]:
        """Return the part of the query that no control of the form sets."""
        controls = {"view", "text", "min_confidence", "sort"}
        if not self.filters.is_cell:
            controls |= {"class", "predicted_class", "match"}
        if self.show != "-":
            controls |= {"correct", "status"}
        return {name: one for name, one in self.hidden.items() if name not in controls}

    @property
    def matches(self) -> dict[str, str]:
        """Return the kinds of matches: value and label."""
        return MATCHES

    def at_page(self, number: int) -> str:
        """Return the query of another page."""
        return self.filters.query(page=number)


def known_filters(state: State, opened: OpenedRun, filters: ImageFilters) -> ImageFilters:
    """Return the filters without a slice that the rows do not have."""
    if filters.slice_by is None:
        return filters
    try:
        state.pages.select(opened, filters.images_of_objects)
    except ConfigError:
        return replace(filters, slice_by=None, slice_value=None)
    return filters


def read_images(state: State, opened: OpenedRun, filters: ImageFilters, objects: bool) -> Grid:
    """Read one page of images; ``filters`` must be known.

    Args:
        state: of the service.
        opened: the run.
        filters: conditions, order and page.
        objects: the task has objects.
    """
    listed = state.pages.select(opened, filters.selection)
    order = listed.order
    pages = max(1, -(-len(order) // PAGE_TILES))
    filters = replace(filters, page=min(filters.page, pages))
    first = (filters.page - 1) * PAGE_TILES
    rows = state.pages.rows(opened, order[first : first + PAGE_TILES].tolist(), COLUMNS)
    run: Any = opened.run
    return Grid(
        filters=filters,
        tiles=[make_tile(run, row) for row in rows],
        total=len(order),
        images=len(order),
        shows=_shows(state, opened, filters, listed),
        sorts=_IMAGE_SORTS if objects else _CLASS_SORTS,
        noun=IMAGES,
    )


def object_sorts() -> dict[str, str]:
    """Return the orders of objects: value and label."""
    return _OBJECT_SORTS


def _shows(
    state: State, opened: OpenedRun, filters: ImageFilters, listed: ImageIndex
) -> list[tuple[str, str, int]]:
    """Count the images with the other filters; what is listed need not be selected again."""
    others = replace(filters, correct=None, status=None, sort="", page=1)
    whole = listed
    if (filters.correct, filters.status) != (None, None):
        whole = state.pages.select(opened, others.selection)
    failed = 0
    if opened.run.failed_images != 0:
        chosen = replace(others, status="failed").selection
        failed = len(state.pages.select(opened, chosen).order)
    return [
        ("", "All", len(whole.order)),
        ("errors", "With errors", whole.incorrect),
        ("failed", "Failed", failed),
    ]
