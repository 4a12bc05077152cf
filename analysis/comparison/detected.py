"""Comparison of two detectors: metrics, classes, and the objects that one of them finds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from snellen.analysis.comparison.disagreements import (
    BACKGROUND,
    Disagreements,
    object_disagreements,
)
from snellen.analysis.comparison.pairing import Pair, Side
from snellen.analysis.comparison.rows import Row
from snellen.metrics.class_filter import class_ids
from snellen.metrics.comparison.contributions import mean_precision_contributions
from snellen.metrics.comparison.paired_draws import difference_of_draws
from snellen.metrics.detection.options import PREFIX, DetectionOptions, options_of
from snellen.metrics.detection.state import OverlapState
from snellen.metrics.errors.listing import Listing, confusion_listing, listing_columns
from snellen.metrics.statistics.block_bootstrap import class_precision
from snellen.metrics.statistics.draws import Blocks
from snellen.metrics.tasks import load
from snellen.metrics.tasks import task_of as metrics_of
from snellen.pipelines.config.loader import build_config

Floats = npt.NDArray[np.float64]
_COUNTS = ("tp", "fp", "fn")
_HIT_50 = 1
"""Bit of a match at an overlap of 0.5 in `snellen.metrics.detection.state.DETECTION`."""
_DRAWS = 400
"""Draws of blocks: AP is recomputed in each, for every class."""


@dataclass(frozen=True, eq=False)
class Detections:
    """The detections of one run on the common images.

    Attributes:
        report: of the metrics on these images.
        overlaps: by kind of overlap; image_index is the position in the pair.
        counts: tp, fp and fn per image at the run's operating point, float64, (n,).
        objects: what each ground truth object is taken for, see
            `snellen.analysis.comparison.disagreements.object_disagreements`.
    """

    report: Any
    overlaps: Mapping[str, OverlapState]
    counts: Mapping[str, Floats]
    objects: pl.DataFrame


@dataclass(frozen=True, eq=False)
class Detected:
    """Two detectors on the common images.

    Attributes:
        a, b: their detections.
        blocks: of the images.
        names: class names.
        kinds: overlaps of the task, its own last.
    """

    a: Detections
    b: Detections
    blocks: Blocks
    names: tuple[str, ...]
    kinds: tuple[Any, ...]
    _drawn: dict[tuple[str, int], tuple[dict[int, Floats], dict[int, Floats]]] = field(
        default_factory=dict
    )

    def metric_rows(self, seed: int = 0) -> list[Row]:
        """Return the rows of the metrics; the AP of the task's own overlap is the first."""
        weights = self.blocks.weights(_DRAWS, seed)
        rows = []
        for kind in reversed(self.kinds):
            precision_a, precision_b = (
                _mean_precision(drawn) for drawn in self._by_class(kind, seed)
            )
            drawn = precision_b - precision_a
            for key, values in (("mAP50-95", drawn.mean(axis=1)), ("mAP50", drawn[:, 0])):
                rows.append(self._row(_key(self.a, f"{PREFIX[kind]}{key}"), values))
        counts_a, counts_b = (
            _at_operating_point(side, self.blocks, weights) for side in (self.a, self.b)
        )
        rows += [self._row(key, counts_b[key] - counts_a[key]) for key in counts_a]
        return rows

    def class_rows(self, seed: int = 0) -> list[Row]:
        """Return AP50-95 of each class with ground truth, by the task's own overlap."""
        kind = self.kinds[-1]
        drawn_a, drawn_b = self._by_class(kind, seed)
        rows = []
        for number in sorted(set(drawn_a) & set(drawn_b)):
            name = self.names[number]
            values = [
                side.report.per_class[name].get(f"{PREFIX[kind]}AP") for side in (self.a, self.b)
            ]
            a, b = values
            if a is None or b is None:
                continue
            difference = difference_of_draws(
                b - a,
                (drawn_b[number] - drawn_a[number]).mean(axis=1),
                self._favours(number),
                units=self._units(number),
            )
            rows.append(Row("AP50-95", a, b, difference, class_name=name))
        return rows

    def contributions(self) -> Floats:
        """Return what each image adds to the difference in AP: (n,)."""
        size = len(self.blocks.of_image)
        sides = []
        for side in (self.a, self.b):
            state = side.overlaps[self.kinds[-1]]
            of_image = np.zeros(size)
            of_image[state.images] = mean_precision_contributions(state, len(self.names))
            sides.append(of_image)
        return np.asarray(sides[1] - sides[0])

    def disagreements(self, images: pl.DataFrame) -> Disagreements:
        """Return what the runs take each ground truth object for."""
        return object_disagreements(images, self.a.objects, self.b.objects)

    def _row(self, key: str, drawn: Floats) -> Row:
        a, b = (side.report.metrics.get(key) for side in (self.a, self.b))
        if a is None or b is None:
            return Row(key, a, b, None)
        score_a, score_b = (_score(side.counts) for side in (self.a, self.b))
        favours = self.blocks.sums(score_b - score_a)
        return Row(key, a, b, difference_of_draws(b - a, drawn, favours))

    def _by_class(self, kind: str, seed: int) -> tuple[dict[int, Floats], dict[int, Floats]]:
        """Return AP of each class in each draw, of both runs; computed once."""
        if (kind, seed) not in self._drawn:
            weights, of_image = self.blocks.weights(_DRAWS, seed), self.blocks.of_image
            a, b = (
                dict(class_precision(side.overlaps[kind], len(self.names), of_image, weights))
                for side in (self.a, self.b)
            )
            self._drawn[kind, seed] = (a, b)
        return self._drawn[kind, seed]

    def _units(self, class_id: int) -> int:
        """Count the blocks that have objects of a class: without them AP is not defined."""
        truths = self.a.overlaps[self.kinds[-1]].truths
        of_class = truths[(truths["class_id"] == class_id) & (truths["counted"] > 0)]
        return len(np.unique(self.blocks.of_image[of_class["image"]]))

    def _favours(self, class_id: int) -> Floats:
        """Return by block how many more objects of a class B finds than A, less its errors."""
        scores = []
        for side in (self.a, self.b):
            found = side.overlaps[self.kinds[-1]].detections
            found = found[(found["class_id"] == class_id) & (found["confidence"] >= _SURE)]
            hit = (found["hit"] & ~found["skip"] & _HIT_50) > 0
            blocks = self.blocks.of_image[found["image"]]
            scores.append(np.bincount(blocks, np.where(hit, 1.0, -1.0), self.blocks.count))
        return np.asarray(scores[1] - scores[0], np.float64)


_SURE = 0.25
"""Confidence from which the detections of a class are counted for the sign test."""


def read_detected(pair: Pair, blocks: Blocks) -> Detected:
    """Read what both runs detected on the common images, and measure it."""
    kinds = metrics_of(pair.a.run.task_type).overlaps
    sides = [
        _detections(side, pair, pair.images[f"index_{name}"].to_numpy())
        for side, name in zip(pair.sides, "ab", strict=True)
    ]
    return Detected(sides[0], sides[1], blocks, pair.names, kinds)


def _detections(side: Side, pair: Pair, indices: npt.NDArray[np.int64]) -> Detections:
    options = build_config(side.run.config).metrics.model_dump()
    metrics = load(side.run.task_type, **{**options, "bootstrap": 0, "group": None, "extra": ()})
    columns = list(dict.fromkeys((*metrics.columns, "image_index", *_COUNTS)))
    listed = _listing_options(side, pair)
    columns = list(dict.fromkeys((*columns, *listing_columns(listed))))
    objects = []
    order = np.argsort(indices)
    counts = {name: np.zeros(len(indices)) for name in _COUNTS}
    states = []
    for unit in side.results.iter_units(columns):
        table, places = _placed(unit, indices[order], order)
        if not table.num_rows:
            continue
        for name in _COUNTS:
            counts[name][places] = pc.fill_null(table[name], 0).to_numpy()
        table = _with_classes(table, side.class_ids)
        states.append(metrics.state(table, pair.names))
        objects.append(_objects(confusion_listing(table, len(pair.names), listed), pair.names))
    state = metrics.merge(states)
    report = metrics.compute(
        state, pair.names, total_images=len(indices), failed_images=len(indices) - state.scored
    )
    overlaps = {kind: found.by_image() for kind, found in state.overlaps.items()}
    return Detections(report, overlaps, counts, pl.concat(objects))


def _listing_options(side: Side, pair: Pair) -> DetectionOptions:
    """Return the options at which the confusion matrix of a run is counted."""
    metrics = build_config(side.run.config).metrics
    kinds = metrics_of(side.run.task_type).overlaps
    chosen = class_ids(metrics.classes, pair.names)
    return options_of(kinds, class_ids=chosen, class_names=pair.names, **metrics.model_dump())


def _objects(listing: Listing, names: Sequence[str]) -> pl.DataFrame:
    """Return the class that each ground truth object of a part is taken for."""
    true = np.flatnonzero(listing.true >= 0)
    known = pl.Series([*names, BACKGROUND], dtype=pl.String)
    predicted = np.where(listing.predicted[true] < 0, len(names), listing.predicted_class[true])
    return pl.DataFrame(
        {
            "place": listing.image[true],
            "true_index": listing.true_place[true],
            "class": known.gather(listing.true_class[true]),
            "predicted": known.gather(predicted),
        }
    )


def _placed(
    table: pa.Table, rising: npt.NDArray[np.int64], order: npt.NDArray[np.intp]
) -> tuple[pa.Table, npt.NDArray[np.int64]]:
    """Keep the rows of common images, with their position in the pair as ``image_index``."""
    index = table["image_index"].to_numpy()
    found = np.minimum(np.searchsorted(rising, index), len(rising) - 1)
    known = rising[found] == index
    places = order[found[known]].astype(np.int64)
    table = table.filter(pa.array(known))
    position = table.schema.get_field_index("image_index")
    return table.set_column(position, "image_index", pa.array(places)), places


def _with_classes(table: pa.Table, class_ids: Mapping[int, int]) -> pa.Table:
    """Replace the class ids of boxes by their positions in the names of the pair."""
    if all(number == place for number, place in class_ids.items()):
        return table
    frame = pl.DataFrame(pl.from_arrow(table.select(["true_boxes", "predicted_boxes"])))
    for name in ("true_boxes", "predicted_boxes"):
        placed = pl.element().struct.field("class_id").replace(dict(class_ids))
        boxes = pl.element().struct.with_fields(placed.alias("class_id"))
        column = frame.select(pl.col(name).list.eval(boxes)).to_arrow()[name]
        position = table.schema.get_field_index(name)
        field = table.schema.field(position)
        table = table.set_column(position, field, column.cast(field.type))
    return table


def _mean_precision(by_class: Mapping[int, Floats]) -> Floats:
    """Return the mean over classes with ground truth in the draw: (R, 10), NaN without any."""
    empty = np.full((1, _DRAWS, 10), np.nan)  # the common images have no object
    stacked = np.stack(list(by_class.values())) if by_class else empty
    with np.errstate(invalid="ignore"):
        return np.asarray(np.nansum(stacked, axis=0) / np.isfinite(stacked).sum(axis=0))


def _key(side: Detections, key: str) -> str:
    """Return the key as the report spells it: with another limit it has an ending (@500)."""
    known = [found for found in side.report.metrics if found.split("@")[0] == key]
    return known[0] if known else key


def _score(counts: Mapping[str, Floats]) -> Floats:
    return counts["tp"] - counts["fp"] - counts["fn"]


def _at_operating_point(
    side: Detections, blocks: Blocks, weights: npt.NDArray[np.float32]
) -> dict[str, Floats]:
    tp, fp, fn = (weights.astype(np.float64) @ blocks.sums(side.counts[name]) for name in _COUNTS)
    with np.errstate(invalid="ignore", divide="ignore"):
        return {
            "precision": tp / (tp + fp),
            "recall": tp / (tp + fn),
            "f1": 2 * tp / (2 * tp + fp + fn),
        }
