"""One image of a run, with its neighbours in the list that one came from."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from snellen.metrics.tasks import task_of
from snellen.serve.api.redaction import without_paths
from snellen.serve.api.runs.images import OpenedRun
from snellen.serve.api.runs.row_reader import Row
from snellen.serve.api.state import State
from snellen.serve.ui.run_page.drawn_objects import (
    DrawnObject,
    drawn_objects,
    hidden_predictions,
)
from snellen.serve.ui.run_page.filters import PAGE_TILES, ImageFilters
from snellen.serve.ui.run_page.found_objects import FoundObjects
from snellen.serve.ui.run_page.object_tiles import listed_places
from snellen.serve.ui.run_page.tiles import COLUMNS, Tile, image_path, make_tile
from snellen.store.parquet.schema import META_PREFIX
from snellen.store.views import AnyRun

_AROUND = 4
_PICTURE = 2048
_KEYS = 9
_TIMES = (
    ("a", "Read, decode, preprocess", "preprocessing_time_ms"),
    ("b", "Inference", "inference_time_ms"),
    ("c", "Postprocess", "postprocessing_time_ms"),
)
Order = npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Neighbours:
    """The place of an image in a list.

    Attributes:
        place: from 0.
        total: number of images in the list.
        previous, next: indices of images; None at the ends.
        query: of the list, with the page that has the image.
        strip: tiles of the images around it.
    """

    place: int
    total: int
    previous: int | None
    next: int | None
    query: str
    strip: list[Tile]


@dataclass(frozen=True, slots=True)
class ImageDetail:
    """An image for the template.

    Attributes:
        run: its run.
        row: its result row.
        objects: in the order of the list.
        hidden: number of predictions below the operating point.
        picture: path of the picture; empty for a failed image.
        neighbours: in the list that one came from.
        overlap_name: ``IoU`` or ``OKS``.
        metadata: name, value and query of the images with the same value, or None.
        message: why the image failed, without paths of the server.
    """

    run: AnyRun
    row: Row
    objects: list[DrawnObject]
    hidden: int
    picture: str
    neighbours: Neighbours
    overlap_name: str
    metadata: list[tuple[str, str, str | None]]
    message: str

    @property
    def name(self) -> str:
        """Return the image id."""
        return str(self.row["image_id"])

    @property
    def drawn(self) -> list[DrawnObject]:
        """Return the objects in the order of drawing."""
        return sorted(self.objects, key=lambda one: one.is_back)

    @property
    def counts(self) -> list[tuple[str, int]]:
        """Return the number of objects of each kind that the image has."""
        found = Counter(one.kind for one in self.objects)
        return [(kind, found[kind]) for kind in ("tp", "fp", "fn", "ign", "pr") if found[kind]]

    @property
    def labels(self) -> list[tuple[str, str]]:
        """Return the classes of the image and their keys, 1 to 9."""
        labels = dict.fromkeys(one.label for one in self.objects)
        return [(label, str(n) if n <= _KEYS else "") for n, label in enumerate(labels, 1)]

    @property
    def times(self) -> list[tuple[str, str, float]]:
        """Return key, label and milliseconds of each step that was measured."""
        return [(k, label, self.row[c]) for k, label, c in _TIMES if self.row.get(c) is not None]

    @property
    def milliseconds(self) -> float:
        """Return the time of all steps."""
        return sum(one[2] for one in self.times)

    @property
    def warnings(self) -> list[str]:
        """Return the warnings that the image gave."""
        text = self.row.get("extra_data")
        extra = json.loads(text) if isinstance(text, str) else text or {}
        return [without_paths(str(one)) for one in extra.get("warnings") or ()]


def read_detail(
    state: State, opened: OpenedRun, number: int, listed: tuple[ImageFilters, FoundObjects]
) -> ImageDetail:
    """Read an image.

    Args:
        state: of the service.
        opened: the run.
        number: index of the image.
        listed: the list that one came from, and the objects of runs.

    Raises:
        InputError: IMAGE_NOT_FOUND.
    """
    run, (filters, found) = opened.run, listed
    row = state.pages.row(opened, number)
    failed = row["status"] == "failed"
    path = f"{image_path(run, number)}/picture?max_side={_PICTURE}&revision={run.revision}"
    overlaps = task_of(run.task_type).overlaps
    return ImageDetail(
        run=run,
        row=row,
        objects=[] if failed else drawn_objects(row, filters.names),
        hidden=hidden_predictions(row),
        picture="" if failed else path,
        neighbours=_neighbours(state, opened, number, (filters, found)),
        overlap_name="OKS" if overlaps and overlaps[-1] == "keypoints" else "IoU",
        metadata=_metadata(row, filters),
        message=without_paths(row.get("error_message") or ""),
    )


def _neighbours(
    state: State, opened: OpenedRun, number: int, listed: tuple[ImageFilters, FoundObjects]
) -> Neighbours:
    filters, found = listed
    order = _order(state, opened, filters, found)
    places = np.flatnonzero(order == number)
    if not len(places):  # the address was written by hand, or the list has changed
        filters = ImageFilters(filters.names)
        order = _order(state, opened, filters, found)
        places = np.flatnonzero(order == number)
    place = int(places[0])
    around = order[max(0, place - _AROUND) : place + _AROUND + 1].tolist()
    rows = state.pages.rows(opened, around, COLUMNS)
    run: Any = opened.run
    page = filters.page if filters.is_objects else place // PAGE_TILES + 1
    return Neighbours(
        place=place,
        total=len(order),
        previous=int(order[place - 1]) if place else None,
        next=int(order[place + 1]) if place + 1 < len(order) else None,
        query=filters.query(page=page),
        strip=[make_tile(run, row) for row in rows],
    )


def _order(state: State, opened: OpenedRun, filters: ImageFilters, found: FoundObjects) -> Order:
    """Return the images of a list in its order; of objects, each image once."""
    if not filters.is_objects:
        return state.pages.select(opened, filters.selection).order
    objects = found.of(opened, filters)
    listed = objects.image[listed_places(state, opened, filters, objects)]
    _, first = np.unique(listed, return_index=True)
    return listed[np.sort(first)]


def _metadata(row: Row, filters: ImageFilters) -> list[tuple[str, str, str | None]]:
    found = []
    for name, value in row.items():
        if name.startswith(META_PREFIX) and value is not None:
            query = filters.only(slice_by=name, slice_value=str(value))
            found.append((name, str(value), query if str(value).strip() else None))
    return found
