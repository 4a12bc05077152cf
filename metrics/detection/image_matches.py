"""The matches of each image at the operating point, as columns of its result row.

The matcher is the one that the metrics use (`snellen.metrics.matching.assignment.greedy`), so
that the counts of a run are the sums of its rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from snellen.metrics.detection.operating_point import OperatingPoint
from snellen.metrics.matching.assignment import Ints, reachable
from snellen.metrics.matching.candidates import find_candidates
from snellen.metrics.matching.instances import EXTRA, Images, read_images
from snellen.metrics.matching.overlaps import Floats, Kind

TP, FP, FN, IGNORED = range(4)
KINDS = ("TP", "FP", "FN", "IGNORED")
"""The kinds of matches."""


@dataclass(frozen=True)
class ImageMatches:
    """The matches of the evaluated images of one part.

    Within an image the predictions come first, by falling confidence, then the missed truths.

    Attributes:
        rows: int64, (m,), the evaluated rows of the table.
        row: int64, (n,), the row of each match, rising.
        kind: int64, (n,), index into `KINDS`.
        true, predicted: int64, (n,), positions in the lists of the row, -1 for none.
        overlap: float64, (n,), NaN for a match without a partner.
    """

    rows: Ints
    row: Ints
    kind: Ints
    true: Ints
    predicted: Ints
    overlap: Floats

    @classmethod
    def concatenate(cls, parts: list[ImageMatches]) -> ImageMatches:
        """Combine the matches of parts with different rows, in the order of the rows."""
        rows, row, *others = (
            np.concatenate([getattr(part, name) for part in parts])
            for name in ("rows", "row", "kind", "true", "predicted", "overlap")
        )
        order = np.argsort(row, kind="stable")
        return cls(np.sort(rows), row[order], *(values[order] for values in others))

    def count(self, kind: int, size: int) -> npt.NDArray[np.int32]:
        """Count the matches of one kind in each row of a table of ``size`` rows: int32, (size,)."""
        return np.bincount(self.row[self.kind == kind], minlength=size).astype(np.int32)


def match_columns(table: pa.Table, operating: OperatingPoint, kind: Kind) -> dict[str, pa.Array]:
    """Match the predictions of every image with its ground truth, class by class.

    Predictions at or above the confidence are taken by falling confidence, equal ones in their
    order; each takes the free truth of its class that it overlaps most and by at least the
    threshold, the last of equals. A prediction that finds no such truth but an ignored one (a
    crowd, ``ignore``, a pose without visible points) is IGNORED, as such truths are never missed;
    crowds can be taken any number of times, and overlap by the share of the prediction inside.

    Args:
        table: result rows with the columns of
            `snellen.metrics.matching.instances.instance_columns`; rows without status ``ok`` or
            without ground truth are not evaluated.
        operating: the operating point.
        kind: the task's own overlap; images whose ground truth has boxes alone are matched by
            boxes.

    Returns:
        Arrays of the length of the table, null in rows that are not evaluated: ``matches``
        (lists of kind, true_index, predicted_index, overlap), ``tp``, ``fp``, ``fn``,
        ``is_correct``, and ``iou``, ``oks`` or both, the mean overlap of the true positives.

    Raises:
        ValueError: see `snellen.metrics.matching.instances.read_images`.

    Example:
        >>> from snellen.metrics.examples import detection_rows
        >>> columns = match_columns(detection_rows(), OperatingPoint(0.25, 0.5), "bbox")
        >>> columns["tp"].to_pylist(), columns["fn"].to_pylist()
        ([1, 0], [1, 0])
    """
    size = table.num_rows
    position = table.schema.get_field_index("image_index")
    table = table.set_column(position, "image_index", pa.array(np.arange(size)))
    by_mean: dict[str, list[ImageMatches]] = {}
    for used, rows in _by_overlap(table, kind):
        mean = "oks" if used == "keypoints" else "iou"
        by_mean.setdefault(mean, []).append(_match(read_images(rows, used), used, operating))
    parts = {mean: ImageMatches.concatenate(found) for mean, found in by_mean.items()}
    whole = ImageMatches.concatenate(list(parts.values()))
    known = np.zeros(size, dtype=np.bool_)
    known[whole.rows] = True
    tp, fp, fn = (whole.count(code, size) for code in (TP, FP, FN))
    return {
        "matches": _lists(whole, known),
        "tp": _known(tp, known),
        "fp": _known(fp, known),
        "fn": _known(fn, known),
        "is_correct": _known((fp == 0) & (fn == 0), known),
        **{mean: _mean_overlap(part, size) for mean, part in parts.items()},
    }


def _by_overlap(table: pa.Table, kind: Kind) -> Iterator[tuple[Kind, pa.Table]]:
    """Split the rows by the overlap that they are matched by."""
    if kind not in EXTRA:
        yield kind, table
        return
    boxes_alone = pc.is_null(table[f"true_{EXTRA[kind]}"])
    yield kind, table.filter(pc.invert(boxes_alone))
    if pc.any(boxes_alone).as_py():
        yield "bbox", table.filter(boxes_alone)


def _match(images: Images, kind: Kind, operating: OperatingPoint) -> ImageMatches:
    found = images.predictions
    included = operating.thresholds.reached(found.class_id, found.confidence)
    images = images.with_predictions(found.take(np.flatnonzero(included)))
    truths, found = images.truths, images.predictions
    threshold = np.array([operating.overlap])
    floor = float(reachable(threshold)[0])
    candidates = find_candidates(images, kind, operating.sigmas, floor)
    true = candidates.assign(threshold)[:, 0]
    hit = true >= 0
    predicted_kind = np.where(hit, TP, FP)
    predicted_kind[hit & np.append(candidates.ignored, False)[true]] = IGNORED
    overlap = np.full(len(found), np.nan)
    overlap[hit] = candidates.pairs.overlaps_of(np.flatnonzero(hit), true[hit])
    free = ~candidates.ignored
    free[true[hit]] = False
    missed = np.flatnonzero(free)
    row = np.concatenate([found.row, truths.row[missed]])
    order = np.argsort(row, kind="stable")
    none = np.full(len(missed), -1)
    return ImageMatches(
        rows=images.index,
        row=images.index[row[order]],
        kind=np.append(predicted_kind, np.full(len(missed), FN))[order],
        true=np.append(np.append(truths.place, -1)[true], truths.place[missed])[order],
        predicted=np.append(found.place, none)[order],
        overlap=np.append(overlap, np.full(len(missed), np.nan))[order],
    )


def _lists(matches: ImageMatches, known: npt.NDArray[np.bool_]) -> pa.Array:
    """Return the matches as a list of structs per row; null in rows that are not evaluated."""
    entries = pa.StructArray.from_arrays(
        [
            pa.array(KINDS).take(pa.array(matches.kind)),
            _indices(matches.true),
            _indices(matches.predicted),
            pa.array(matches.overlap.astype(np.float32), mask=np.isnan(matches.overlap)),
        ],
        names=["kind", "true_index", "predicted_index", "overlap"],
    )
    counts = np.bincount(matches.row, minlength=len(known))
    offsets = np.append(0, np.cumsum(counts))
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), entries, mask=pa.array(~known))


def _indices(values: Ints) -> Any:
    return pa.array(values.astype(np.int32), mask=values < 0)


def _known(values: npt.NDArray[Any], known: npt.NDArray[np.bool_]) -> pa.Array:
    return pa.array(values, mask=~known)


def _mean_overlap(matches: ImageMatches, size: int) -> pa.Array:
    right = matches.kind == TP
    rows = matches.row[right]
    counts = np.bincount(rows, minlength=size)
    sums = np.bincount(rows, weights=matches.overlap[right], minlength=size)
    return pa.array((sums / np.maximum(counts, 1)).astype(np.float32), mask=counts == 0)
