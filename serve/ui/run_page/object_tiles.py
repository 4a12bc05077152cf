"""Tiles of objects: a crop of the image with the boxes of a match."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from snellen.adapters.finite import finite_or_none
from snellen.metrics.tasks import task_of
from snellen.serve.api.runs.images import OpenedRun
from snellen.serve.api.runs.pictures import crop_area
from snellen.serve.api.runs.row_reader import Row
from snellen.serve.api.state import State
from snellen.serve.ui.run_page.filters import OBJECTS, PAGE_TILES, ImageFilters
from snellen.serve.ui.run_page.found_objects import KINDS, FoundObjects, ObjectList, Places
from snellen.serve.ui.run_page.grid import Grid, object_sorts
from snellen.serve.ui.run_page.tiles import (
    COLUMNS,
    SIDE,
    Box,
    Overlay,
    corners,
    image_path,
    paths,
)
from snellen.store.views import RunView


@dataclass(frozen=True, slots=True)
class ObjectTile:
    """An object in the grid.

    Attributes:
        number: index of its image.
        name: image id.
        picture: path of the crop.
        width, height: of the crop in pixels.
        kind: class in the style sheet.
        label: predicted class, or that of a missed object.
        true: class of the ground truth if it is another one.
        confidence: of the prediction.
        overlap: of the two boxes, masks or poses.
        overlap_name: ``IoU`` or ``OKS``.
    """

    number: int
    name: str
    picture: str
    width: int
    height: int
    overlay: Overlay | None
    kind: str
    label: str
    true: str
    confidence: float | None
    overlap: float | None
    overlap_name: str


def read_objects(
    state: State, opened: OpenedRun, filters: ImageFilters, found: FoundObjects
) -> Grid:
    """Read one page of objects; ``filters`` must be known.

    Raises:
        InputError: RUN_NOT_COMPLETED, for a cell or a bucket.
    """
    objects = found.of(opened, filters)
    places = listed_places(state, opened, filters, objects)
    pages = max(1, -(-len(places) // PAGE_TILES))
    filters = replace(filters, page=min(filters.page, pages))
    first = (filters.page - 1) * PAGE_TILES
    chosen = places[first : first + PAGE_TILES]
    indices = np.unique(objects.image[chosen]).tolist()
    rows = {row["image_index"]: row for row in state.pages.rows(opened, indices, COLUMNS)}
    run: Any = opened.run
    return Grid(
        filters=filters,
        tiles=[
            make_object_tile(run, rows[int(objects.image[at])], (objects, int(at)), filters.names)
            for at in chosen
        ],
        total=len(places),
        images=objects.count_images(places),
        shows=[],
        sorts=object_sorts(),
        noun=OBJECTS,
    )


def listed_places(
    state: State, opened: OpenedRun, filters: ImageFilters, objects: ObjectList
) -> Places:
    """Return the places of the objects that filters list, in their order: intp, (n,)."""
    images = None
    if filters.slice_by is not None or filters.text is not None:
        images = state.pages.select(opened, filters.images_of_objects).order
    return objects.places(filters, images)


def make_object_tile(
    run: RunView, row: Row, place: tuple[ObjectList, int], names: tuple[str, ...]
) -> ObjectTile:
    """Describe one object, given its row and its place in the list."""
    objects, at = place
    true, predicted = int(objects.true[at]), int(objects.predicted[at])
    side, number = ("predicted", predicted) if predicted >= 0 else ("true", true)
    left, top, right, bottom = crop_area(row[f"{side}_boxes"][number], row["width"], row["height"])
    scale = min(1.0, SIDE / max(right - left, bottom - top))
    kind = KINDS[objects.kind[at]]
    boxes: dict[str, list[Box]] = {}
    if true >= 0 and kind != "tp":
        boxes["ign" if kind == "ign" else "fn"] = [corners(row["true_boxes"][true])]
    if predicted >= 0:
        boxes[kind] = [corners(row["predicted_boxes"][predicted])]
    drawn = paths(boxes, (right - left, bottom - top))
    classes = (int(objects.true_class[at]), int(objects.predicted_class[at]))
    label = classes[1] if predicted >= 0 else classes[0]
    other = predicted >= 0 and true >= 0 and classes[0] != classes[1]
    query = f"object={number}&side={side}&size={SIDE}&revision={run.revision}"
    return ObjectTile(
        number=row["image_index"],
        name=row["image_id"],
        picture=f"{image_path(run, row['image_index'])}/crop?{query}",
        width=max(1, round((right - left) * scale)),
        height=max(1, round((bottom - top) * scale)),
        overlay=None
        if drawn is None
        else replace(drawn, view=f"{left} {top} {right - left} {bottom - top}"),
        kind=kind,
        label=names[label],
        true=names[classes[0]] if other else "",
        confidence=finite_or_none(float(objects.confidence[at])),
        overlap=finite_or_none(float(objects.overlap[at])),
        overlap_name="OKS" if task_of(run.task_type).overlaps[-1] == "keypoints" else "IoU",
    )
