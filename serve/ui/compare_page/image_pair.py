"""One image under both runs: what is drawn over it, and what each run makes of its objects."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

import polars as pl

from snellen.serve.api.runs.pictures import crop_area
from snellen.serve.api.runs.row_reader import Row
from snellen.serve.api.state import State
from snellen.serve.ui.compare_page.changes import OBJECTS, Changes
from snellen.serve.ui.compare_page.comparisons import Comparison
from snellen.serve.ui.run_page.drawn_objects import DrawnObject, drawn_objects
from snellen.serve.ui.run_page.overview import class_names
from snellen.serve.ui.run_page.tiles import COLUMNS, Box, Tile, image_path, make_tile
from snellen.store.views import RunView

_PICTURE = 2048
_KINDS = {"TP": "tp", "FN": "fn", "IGNORED": "ign"}
_GONE, _NEW, _SAME = "gone", "new", "same"


@dataclass(frozen=True, slots=True)
class Layer:
    """The image under one run.

    Attributes:
        side: ``a`` or ``b``.
        picture: path of the picture; empty for a failed image.
        counts: class in the style sheet and number of objects.
    """

    side: str
    run: RunView
    row: Row
    picture: str
    objects: list[DrawnObject]

    @property
    def drawn(self) -> list[DrawnObject]:
        """Return the objects in the order of drawing."""
        return sorted(self.objects, key=lambda one: one.is_back)

    @property
    def counts(self) -> list[tuple[str, int]]:
        """Return the number of true and false positives and of missed objects."""
        found = [one.kind for one in self.objects]
        return [(kind, found.count(kind)) for kind in ("tp", "fp", "fn")]


@dataclass(frozen=True, slots=True)
class Mark:
    """The outcome of an object in a run: class in the style sheet, and text."""

    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class ObjectPair:
    """An object under both runs.

    Attributes:
        label: its class.
        a, b: what the runs make of it; None for nothing.
        change: ``fixed``, ``broken``, ``gone``, ``new`` or ``same``.
    """

    label: str
    a: Mark | None
    b: Mark | None
    change: str

    @property
    def is_better(self) -> bool | None:
        """Return True if B does better, None for no difference."""
        return {"fixed": True, _GONE: True, "broken": False, _NEW: False}.get(self.change)


@dataclass(frozen=True, slots=True)
class ImagePair:
    """The image that is shown, under both runs.

    Attributes:
        focus: the box of the object that is shown; None for images.
    """

    name: str
    layers: list[Layer]
    objects: list[ObjectPair]
    focus: Box | None


@dataclass(frozen=True, slots=True)
class ChangeTile:
    """A change beside the image: its place, its picture, and what is shown below it."""

    place: int
    tile: Tile
    label: str


def read_pair(state: State, comparison: Comparison, changes: Changes) -> ImagePair:
    """Read the image of the change that is shown; the list must not be empty."""
    change = changes.row
    layers = []
    for side, run in (("a", comparison.a), ("b", comparison.b)):
        row = state.pages.row(state.pages.open(run), int(change[f"index_{side}"]))
        path = f"{image_path(run, row['image_index'])}/picture?max_side={_PICTURE}"
        layers.append(
            Layer(
                side=side,
                run=run,
                row=row,
                picture=f"{path}&revision={run.revision}",
                objects=drawn_objects(row, class_names(run)),
            )
        )
    of_image = comparison.flips.objects.filter(pl.col("index_a") == change["index_a"])
    pairs = list(_object_pairs(layers, of_image)) if layers[0].row["matches"] is not None else []
    focus = _focus(layers, change) if changes.query.unit == OBJECTS else None
    order = ("broken", _NEW, "fixed", _GONE, _SAME)
    pairs.sort(key=lambda pair: order.index(pair.change))
    return ImagePair(str(change["image_id"]), layers, pairs, focus)


def read_tiles(state: State, comparison: Comparison, changes: Changes) -> list[ChangeTile]:
    """Return the tiles of the list around the place: images of B, or crops of objects."""
    listed = changes.tiles
    tiles: list[ChangeTile] = []
    opened = state.pages.open(comparison.b)
    indices = [int(one["index_b"]) for one in listed]
    rows = {row["image_index"]: row for row in state.pages.rows(opened, indices, COLUMNS)}
    for number, (one, index) in enumerate(zip(listed, indices, strict=True)):
        tile = make_tile(comparison.b, rows[index])
        tiles.append(ChangeTile(changes.first + number, tile, str(one["class"] or "")))
    return tiles


def _object_pairs(layers: list[Layer], changed: pl.DataFrame) -> Iterator[ObjectPair]:
    names = [class_names(layer.run) for layer in layers]
    rows = [layer.row for layer in layers]
    marks = [_of_truths(row) for row in rows]
    for index, box in enumerate(rows[0]["true_boxes"] or ()):
        a, b = (found.get(index) for found in marks)
        kinds = (a.kind if a else "", b.kind if b else "")
        change = {("fn", "tp"): "fixed", ("tp", "fn"): "broken"}.get(kinds, _SAME)
        yield ObjectPair(names[0][box["class_id"]], a, b, change)
    alone = [
        set(changed.filter(pl.col("kind") == kind)["predicted_index"].to_list())
        for kind in ("vanished_fp", "new_fp")
    ]
    common: list[defaultdict[str, list[Mark]]] = [defaultdict(list), defaultdict(list)]
    for side in (0, 1):
        for index, label, mark in _false_positives(rows[side], names[side]):
            if index not in alone[side]:
                common[side][label].append(mark)
            elif side == 0:
                yield ObjectPair(label, mark, None, _GONE)
            else:
                yield ObjectPair(label, None, mark, _NEW)
    # A false positive that is not alone has a counterpart of its class in the other run.
    for label in sorted({*common[0], *common[1]}):
        for mark_a, mark_b in zip_longest(common[0][label], common[1][label]):
            yield ObjectPair(label, mark_a, mark_b, _SAME)


def _of_truths(row: Row) -> dict[int, Mark]:
    """Return what a run makes of each object of the ground truth."""
    found = {}
    for match in row["matches"]:
        if match["true_index"] is None or match["kind"] not in _KINDS:
            continue
        text = "ignored" if match["kind"] == "IGNORED" else "missed"
        if match["kind"] == "TP":
            text = f"{row['predicted_boxes'][match['predicted_index']]['confidence']:.3f}"
        found[match["true_index"]] = Mark(_KINDS[match["kind"]], text)
    return found


def _false_positives(row: Row, names: list[str]) -> Iterator[tuple[int, str, Mark]]:
    for match in row["matches"]:
        if match["kind"] == "FP":
            box = row["predicted_boxes"][match["predicted_index"]]
            mark = Mark("fp", f"{box['confidence']:.3f}")
            yield match["predicted_index"], names[box["class_id"]], mark


def _focus(layers: list[Layer], change: dict[str, Any]) -> Box | None:
    """Return the area around the object that is shown."""
    row = layers[0 if change["kind"] == "vanished_fp" else 1].row
    if change["true_index"] is not None:
        box = row["true_boxes"][change["true_index"]]
    else:
        box = row["predicted_boxes"][change["predicted_index"]]
    left, top, right, bottom = crop_area(box, row["width"], row["height"])
    return float(left), float(top), float(right), float(bottom)
