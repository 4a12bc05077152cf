"""Suspect labels of objects in one image."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from snellen.analysis.suspects.suspect import OVERLAP, TOUCHING, Kind, Suspect

_LARGE = 0.2
"""Side of an object, as a share of the image's, from which an unseen label counts fully."""
_SEEN = 0.1
"""Confidence from which a prediction sees a labelled object."""
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Objects:
    """Objects of one image.

    Attributes:
        boxes: float64, (n, 4): x1, y1, x2, y2, pixels.
        labels: n class names.
        confidence: float64, (n,); 1 for ground truth.
        ignored: bool, (n,): crowds and ignored objects of the ground truth.
    """

    boxes: Floats
    labels: list[str]
    confidence: Floats
    ignored: npt.NDArray[np.bool_]

    @classmethod
    def of(cls, found: Sequence[Mapping[str, Any]] | None, names: Sequence[str]) -> Objects:
        """Read the boxes of a result row."""
        rows = found or ()
        corners = [[box[key] for key in ("x1", "y1", "x2", "y2")] for box in rows]
        return cls(
            np.array(corners, dtype=np.float64).reshape(-1, 4),
            [names[box["class_id"]] for box in rows],
            np.array([box.get("confidence", 1.0) for box in rows], dtype=np.float64),
            np.array(
                [bool(box.get("is_crowd") or box.get("ignore")) for box in rows], dtype=np.bool_
            ),
        )


def object_suspects(
    row: Mapping[str, Any], truth: Objects, runs: Sequence[Objects], least: float
) -> Iterator[Suspect]:
    """Find the suspect labels of an image.

    Args:
        row: of the first run: ``image_id``, ``image_index``, ``width`` and ``height``.
        truth: the labels.
        runs: the predictions of every run, the first run first.
        least: minimum confidence of a prediction that denies a label.
    """
    covered = [iou(found.boxes, truth.boxes) for found in runs]
    yield from _denied(row, truth, runs, covered, least)
    yield from _unseen(row, truth, runs, covered)


def iou(boxes: Floats, others: Floats) -> Floats:
    """Compute the IoU of every pair of boxes: float64, (n, m)."""
    low = np.maximum(boxes[:, None, :2], others[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    common = np.clip(high - low, 0, None).prod(axis=2)
    areas = [(b[:, 2:] - b[:, :2]).clip(0).prod(axis=1) for b in (boxes, others)]
    whole = areas[0][:, None] + areas[1][None, :] - common
    result: Floats = np.divide(common, whole, out=np.zeros_like(common), where=whole > 0)
    return result


def _denied(
    row: Mapping[str, Any],
    truth: Objects,
    runs: Sequence[Objects],
    covered: Sequence[Floats],
    least: float,
) -> Iterator[Suspect]:
    """Yield the predictions of the first run that every run makes and the labels deny."""
    first, named = runs[0], np.array(truth.labels, dtype=object)
    for number, label in enumerate(first.labels):
        overlaps = covered[0][number]
        touching = overlaps >= OVERLAP
        if bool((touching & (truth.ignored | (named == label))).any()):
            continue
        confidence = _agreed(runs, first.boxes[number], label, least)
        if confidence is None:
            continue
        index = int(overlaps.argmax()) if touching.any() else None
        if index is not None and _found(runs, covered, index, truth.labels[index], least):
            continue  # the label is right, and the other prediction a duplicate
        kind: Kind = "missing_label" if index is None else "wrong_class"
        box = first.boxes[number] if index is None else truth.boxes[index]
        true = None if index is None else truth.labels[index]
        yield _suspect(row, kind, confidence, (true, label), (box, index))


def _agreed(runs: Sequence[Objects], box: Floats, label: str, least: float) -> float | None:
    """Return the lowest confidence of the runs for an object; None if a run does not see it."""
    lowest = 1.0
    for found in runs:
        same = np.array([one == label for one in found.labels], dtype=np.bool_)
        same &= iou(found.boxes, box[None])[:, 0] >= OVERLAP
        best = float(found.confidence[same].max(initial=0.0))
        if best < least:
            return None
        lowest = min(lowest, best)
    return lowest


def _found(
    runs: Sequence[Objects], covered: Sequence[Floats], index: int, label: str, least: float
) -> bool:
    """Return True if some run predicts a labelled object with its class."""
    for found, overlaps in zip(runs, covered, strict=True):
        same = np.array([one == label for one in found.labels], dtype=np.bool_)
        if bool((same & (overlaps[:, index] >= OVERLAP) & (found.confidence >= least)).any()):
            return True
    return False


def _unseen(
    row: Mapping[str, Any], truth: Objects, runs: Sequence[Objects], covered: Sequence[Floats]
) -> Iterator[Suspect]:
    """Yield the labelled objects that no run sees, whatever its class."""
    size = float(row["width"] * row["height"]) or 1.0
    for index, label in enumerate(truth.labels):
        if truth.ignored[index]:
            continue
        best = max(
            float(found.confidence[overlaps[:, index] >= TOUCHING].max(initial=0.0))
            for found, overlaps in zip(runs, covered, strict=True)
        )
        box = truth.boxes[index]
        share = float(np.sqrt((box[2:] - box[:2]).clip(0).prod() / size))
        score = (1 - best) * min(1.0, share / _LARGE)
        if best < _SEEN:
            yield _suspect(row, "unseen_label", score, (label, None), (box, index))


def _suspect(
    row: Mapping[str, Any],
    kind: Kind,
    score: float,
    labels: tuple[str | None, str | None],
    place: tuple[Floats, int | None],
) -> Suspect:
    box, index = place
    corners = tuple(float(value) for value in box)
    return Suspect(
        kind, score, row["image_id"], row["image_index"], *labels,
        (corners[0], corners[1], corners[2], corners[3]), index,
    )  # fmt: skip
