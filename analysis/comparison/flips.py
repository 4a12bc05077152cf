"""Images and objects that one of two runs gets right: fixed and broken ones."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from snellen.analysis.comparison.pairing import Pair, Side

SAME_OBJECT = 0.5
"""IoU from which two false positives of one class are the same."""
_MATCHED = ("matches", "true_boxes", "predicted_boxes")


@dataclass(frozen=True, eq=False)
class Flips:
    """Changes from A to B, one row per image or object.

    Attributes:
        images: ``kind`` (fixed, broken, both_correct, both_incorrect), ``image_id``, ``index_a``,
            ``index_b``, and ``class``, the true one; null for detectors.
        objects: ``kind`` (fixed, broken, new_fp, vanished_fp), the same, ``class``, and
            ``true_index`` or ``predicted_index`` in the run that has the object; empty for
            classifiers.
    """

    images: pl.DataFrame
    objects: pl.DataFrame

    def counts(self) -> dict[str, dict[str, int]]:
        """Return the number of images and objects of each kind."""
        return {
            "images": _counted(self.images, ("fixed", "broken", "both_correct", "both_incorrect")),
            "objects": _counted(self.objects, ("fixed", "broken", "new_fp", "vanished_fp")),
        }


def find_flips(pair: Pair) -> Flips:
    """Find the images and objects that are right in one run only."""
    correct = [
        _aligned(side, pair.images[f"index_{name}"], ["is_correct"])["is_correct"].to_numpy()
        for side, name in zip(pair.sides, "ab", strict=True)
    ]
    kind = np.select(
        [~correct[0] & correct[1], correct[0] & ~correct[1], correct[0] & correct[1]],
        ["fixed", "broken", "both_correct"],
        "both_incorrect",
    )
    labels = _aligned(pair.a, pair.images["index_a"], ["true_label"])["true_label"]
    images = pair.images.select("image_id", "index_a", "index_b").with_columns(
        pl.Series("kind", kind), labels.alias("class")
    )
    return Flips(images, pl.DataFrame(list(_objects(pair)), schema=_OBJECTS))


_OBJECTS: Mapping[str, Any] = {
    "kind": pl.String,
    "image_id": pl.String,
    "index_a": pl.Int64,
    "index_b": pl.Int64,
    "class": pl.String,
    "true_index": pl.Int64,
    "predicted_index": pl.Int64,
}


def _objects(pair: Pair) -> Iterator[dict[str, Any]]:
    frames = [
        _aligned(side, pair.images[f"index_{name}"], _MATCHED)
        for side, name in zip(pair.sides, "ab", strict=True)
    ]
    if frames[0]["matches"].null_count() == len(frames[0]):
        return
    places = pair.images.iter_rows(named=True)
    for place, row_a, row_b in zip(
        places, frames[0].iter_rows(named=True), frames[1].iter_rows(named=True), strict=True
    ):
        where = {key: place[key] for key in ("image_id", "index_a", "index_b")}
        for kind, name, true, predicted in _changes(pair, row_a, row_b):
            yield {
                "kind": kind, **where, "class": name, "true_index": true,
                "predicted_index": predicted,
            }  # fmt: skip


def _changes(
    pair: Pair, row_a: Mapping[str, Any], row_b: Mapping[str, Any]
) -> Iterator[tuple[str, str, int | None, int | None]]:
    found_a, found_b = (_true_indices(row, "TP") for row in (row_a, row_b))
    missed_a, missed_b = (_true_indices(row, "FN") for row in (row_a, row_b))
    for kind, indices in (("fixed", missed_a & found_b), ("broken", found_a & missed_b)):
        for index in sorted(indices):
            class_id = row_a["true_boxes"][index]["class_id"]
            yield kind, pair.names[pair.a.class_ids[class_id]], index, None
    false_a, false_b = (
        _false_positives(side, row) for side, row in ((pair.a, row_a), (pair.b, row_b))
    )
    for kind, ours, others in (("new_fp", false_b, false_a), ("vanished_fp", false_a, false_b)):
        for index, class_id, _ in _alone(ours, others):
            yield kind, pair.names[class_id], None, index


def _true_indices(row: Mapping[str, Any], kind: str) -> set[int]:
    return {match["true_index"] for match in row["matches"] or () if match["kind"] == kind}


_False = tuple[int, int, tuple[float, float, float, float]]


def _false_positives(side: Side, row: Mapping[str, Any]) -> list[_False]:
    found = []
    for match in row["matches"] or ():
        if match["kind"] == "FP":
            box = row["predicted_boxes"][match["predicted_index"]]
            corners = (box["x1"], box["y1"], box["x2"], box["y2"])
            found.append((match["predicted_index"], side.class_ids[box["class_id"]], corners))
    return found


def _alone(ours: Sequence[_False], others: Sequence[_False]) -> Iterator[_False]:
    """Yield the false positives that the other run does not have; each counterpart is used once."""
    left = list(others)
    for one in ours:
        best = max(
            (other for other in left if other[1] == one[1]),
            key=lambda other: _iou(one[2], other[2]),
            default=None,
        )
        if best is not None and _iou(one[2], best[2]) >= SAME_OBJECT:
            left.remove(best)
        else:
            yield one


def _iou(a: Sequence[float], b: Sequence[float]) -> float:
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    common = width * height
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (a, b)]
    return common / (sum(areas) - common)


def _aligned(side: Side, indices: pl.Series, columns: Sequence[str]) -> pl.DataFrame:
    """Read columns of the common images, in their order."""
    wanted = pl.DataFrame({"image_index": indices}).with_row_index("place")
    frame = side.results.lazy().select("image_index", *columns).collect()
    return wanted.join(frame, on="image_index", how="left").sort("place")


def _counted(frame: pl.DataFrame, kinds: Sequence[str]) -> dict[str, int]:
    found = dict(frame.group_by("kind").len().iter_rows())
    return {kind: int(found.get(kind, 0)) for kind in kinds}
