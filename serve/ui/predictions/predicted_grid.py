"""One page of the predictions of an inference job."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import replace

from snellen.serve.api.runs.images import OpenedRun
from snellen.serve.api.runs.row_reader import Row
from snellen.serve.api.state import State
from snellen.serve.ui.formats import shortest
from snellen.serve.ui.run_page.filters import IMAGES, PAGE_TILES, ImageFilters
from snellen.serve.ui.run_page.grid import Grid
from snellen.serve.ui.run_page.tiles import COLUMNS, Tile, make_tile
from snellen.store.views import AnyRun

_SORTS = {
    "": "Manifest order",
    "-confidence": "Most confident",
    "confidence": "Least confident",
    "image_id": "Name",
    "-inference_time_ms": "Slowest",
}


def parse_filters(query: Mapping[str, str], names: Sequence[str]) -> ImageFilters:
    """Read a query; conditions on a ground truth are ignored, as there is none."""
    return replace(
        ImageFilters.parse(query, names, objects=False), true_class=None, match=None, correct=None
    )


def read_predictions(state: State, opened: OpenedRun, filters: ImageFilters) -> Grid:
    """Read a page of tiles; with a minimum confidence, only objects that reach it are drawn."""
    index = state.pages.select(opened, filters.selection)
    pages = max(1, -(-len(index.order) // PAGE_TILES))
    filters = replace(filters, page=min(filters.page, pages))
    first = (filters.page - 1) * PAGE_TILES
    rows = state.pages.rows(opened, index.order[first : first + PAGE_TILES].tolist(), COLUMNS)
    return Grid(
        filters=filters,
        tiles=[_tile(opened.run, _above(row, filters.min_confidence)) for row in rows],
        total=len(index.order),
        images=len(index.order),
        shows=_shows(state, opened, filters),
        sorts=_SORTS,
        noun=IMAGES,
    )


def export_command(run_id: int, filters: ImageFilters) -> str:
    """Return the command that writes the same rows."""
    words = ["snellen", "export", "--inference", str(run_id), "--format", "csv"]
    if filters.min_confidence is not None:
        words += ["--min-confidence", shortest(filters.min_confidence)]
    if filters.status is not None:
        words += ["--status", filters.status]
    return shlex.join([*words, "-o", "predictions.csv"])


def _tile(run: AnyRun, row: Row) -> Tile:
    """Describe an image; its counts are those of its predicted objects."""
    boxes = row.get("predicted_boxes")
    tile = make_tile(run, row)
    return tile if boxes is None else replace(tile, counts=[("pr", len(boxes))])


def _above(row: Row, least: float | None) -> Row:
    boxes = row.get("predicted_boxes")
    if least is None or boxes is None:
        return row
    return row | {"predicted_boxes": [box for box in boxes if box["confidence"] >= least]}


def _shows(state: State, opened: OpenedRun, filters: ImageFilters) -> list[tuple[str, str, int]]:
    """Count the images with the other filters."""
    others = replace(filters, status=None, sort="", page=1)
    whole = state.pages.select(opened, others.selection)
    failed = state.pages.select(opened, replace(others, status="failed").selection)
    return [("", "All", len(whole.order)), ("failed", "Failed", len(failed.order))]
