"""COCO's rule for one image and one threshold in plain Python: the oracle of the matcher.

It shares the overlaps of single pairs with the product, and nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from snellen.metrics.matching.overlaps import Floats, Kind, box_iou, keypoint_sigmas, mask_iou, oks

Row = Mapping[str, Any]


@dataclass(frozen=True)
class ImageSettings:
    """The arguments of `match_image` beside the boxes."""

    kind: Kind
    height: int
    width: int
    true_masks: Sequence[bytes] | None = None
    predicted_masks: Sequence[bytes] | None = None
    true_keypoints: Sequence[Sequence[Row]] | None = None
    predicted_keypoints: Sequence[Sequence[Row]] | None = None
    confidence: float = 0.25
    overlap: float = 0.5
    sigmas: Sequence[float] | None = None


class ImagePairing:
    """Truths and predictions of one image, paired.

    Attributes:
        order: indices of the predictions at or above the confidence, by falling confidence.
        true_class, crowd, ignored: of each truth.
        found_class: of each prediction, in that order.
        matrix: overlaps, predictions in the rows, truths in the columns.
        taken: the truth that each prediction takes, -1 for none.
    """

    def __init__(
        self, true: Sequence[Row], predicted: Sequence[Row], settings: ImageSettings
    ) -> None:
        """Pair them.

        Raises:
            ValueError: masks or keypoints are missing or not parallel to their boxes.
        """
        # result files keep float32: the metrics of a run must see what its matches saw
        scores = _float32(box["confidence"] for box in predicted)
        least = np.float32(settings.confidence)
        ranking = np.argsort(-scores, kind="stable")
        self.order: list[int] = ranking[scores[ranking] >= least].tolist()
        found = [predicted[i] for i in self.order]
        self.true_class = [int(box["class_id"]) for box in true]
        self.found_class = [int(box["class_id"]) for box in found]
        self.crowd = [bool(box["is_crowd"]) for box in true]
        self.ignored = [bool(box["is_crowd"] or box["ignore"]) for box in true]
        _check(settings, len(true), len(predicted))
        self.matrix = self._overlaps(true, found, settings)
        self.taken = self._assign(settings.overlap)

    def _overlaps(
        self, true: Sequence[Row], found: Sequence[Row], settings: ImageSettings
    ) -> Floats:
        crowd = np.asarray(self.crowd, dtype=np.bool_)
        if settings.kind == "bbox":
            return box_iou(_boxes(found)[:, None], _boxes(true)[None], crowd)
        if settings.kind == "segm":
            masks = settings.predicted_masks or ()
            return mask_iou(
                [masks[i] for i in self.order],
                settings.true_masks or (),
                crowd,
                settings.height,
                settings.width,
            )
        posed = settings.predicted_keypoints or ()
        points = _points([posed[i] for i in self.order])
        true_points = _points(settings.true_keypoints or ())
        for index in np.flatnonzero(~(true_points[..., 2] > 0).any(axis=-1)).tolist():
            self.ignored[index] = True
        if not len(points) or not len(true_points):
            return np.zeros((len(points), len(true_points)))
        falloff = keypoint_sigmas(true_points.shape[1], settings.sigmas)
        boxes = _boxes(true)
        whole = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
        given = _float32(np.nan if box["area"] is None else box["area"] for box in true)
        areas = np.where(np.isnan(given), whole, given.astype(np.float64))
        return oks(points[:, None], true_points[None], boxes, areas, falloff)

    def _assign(self, threshold: float) -> list[int]:
        reach = min(threshold, 1 - 1e-10)  # 1 must be reachable in spite of rounding
        free = [True] * len(self.true_class)
        taken = []
        for row, class_id in zip(self.matrix.tolist(), self.found_class, strict=True):
            best = [-1, -1]  # a truth that counts, an ignored one
            for g, value in enumerate(row):
                if value < reach or class_id != self.true_class[g]:
                    continue
                if not free[g] and not self.crowd[g]:
                    continue
                side = self.ignored[g]
                if best[side] < 0 or value >= row[best[side]]:
                    best[side] = g
            g = best[0] if best[0] >= 0 else best[1]
            taken.append(g)
            if g >= 0:
                free[g] = False
        return taken


def _check(settings: ImageSettings, true: int, predicted: int) -> None:
    if settings.kind == "bbox":
        return
    name = "masks" if settings.kind == "segm" else "keypoints"
    for side, boxes in (("true", true), ("predicted", predicted)):
        values = getattr(settings, f"{side}_{name}")
        if len(values or ()) != boxes:
            got = "none" if values is None else len(values)
            raise ValueError(f"expected {side}_{name} parallel to its {boxes} boxes, got {got}")


def _float32(values: Any) -> Any:
    return np.fromiter(values, dtype=np.float32)


def _boxes(boxes: Sequence[Row]) -> Floats:
    values = [(box["x1"], box["y1"], box["x2"], box["y2"]) for box in boxes]
    return np.asarray(values, dtype=np.float32).astype(np.float64).reshape(-1, 4)


def _points(instances: Sequence[Sequence[Row]]) -> Floats:
    values = [[(p["x"], p["y"], p["v"]) for p in points] for points in instances]
    counts = {len(points) for points in values}
    if len(counts) > 1:
        raise ValueError(
            f"expected one number of keypoints in all instances of an image, got {sorted(counts)}"
        )
    points = counts.pop() if counts else 0
    array = np.asarray(values, dtype=np.float32).astype(np.float64)
    return array.reshape(len(values), points, 3)


@dataclass(frozen=True, slots=True)
class ImageMatches:
    """The matches of one image.

    Attributes:
        matches: dicts of kind (TP, FP, FN, IGNORED), true_index, predicted_index (None where
            there is none) and overlap (None without a partner): the predictions at or above
            the confidence, by falling confidence, then the missed truths.
        tp, fp, fn: their counts.
        is_correct: nothing wrong and nothing missed.
        mean_overlap: of the true positives; None without any.
    """

    matches: list[dict[str, Any]]
    tp: int
    fp: int
    fn: int
    is_correct: bool
    mean_overlap: float | None


def match_image(
    true_boxes: Sequence[Row], predicted_boxes: Sequence[Row], settings: ImageSettings
) -> ImageMatches:
    """Match the predictions of one image with its truths, class by class."""
    pairing = ImagePairing(true_boxes, predicted_boxes, settings)
    matches = [_prediction(pairing, place) for place in range(len(pairing.order))]
    missed = _missed(pairing)
    matches += [_entry("FN", g, None, None) for g in missed]
    kinds = [match["kind"] for match in matches]
    overlaps = [match["overlap"] for match in matches if match["kind"] == "TP"]
    tp, fp, fn = len(overlaps), kinds.count("FP"), len(missed)
    mean = sum(overlaps) / tp if tp else None
    return ImageMatches(matches, tp, fp, fn, fp == 0 and fn == 0, mean)


def confusion_pairs(
    true_boxes: Sequence[Row],
    predicted_boxes: Sequence[Row],
    *,
    num_classes: int,
    settings: ImageSettings,
) -> list[tuple[int, int]]:
    """Return the cells of the confusion matrix of one image: (true class, predicted class)."""
    pairing = ImagePairing(true_boxes, predicted_boxes, settings)
    reach = min(settings.overlap, 1 - 1e-10)
    free = set(_missed(pairing))
    cells = []
    for place, true in enumerate(pairing.taken):
        if true >= 0 and pairing.ignored[true]:
            continue
        partner = true if true >= 0 else _other(pairing.matrix[place], free, reach)
        free.discard(partner)
        row = num_classes if partner < 0 else pairing.true_class[partner]
        cells.append((row, pairing.found_class[place]))
    return cells + [(pairing.true_class[g], num_classes) for g in sorted(free)]


def _other(overlaps: Floats, free: set[int], reach: float) -> int:
    near = [g for g in free if overlaps[g] >= reach]
    return max(near, key=lambda g: (overlaps[g], g), default=-1)


def _missed(pairing: ImagePairing) -> list[int]:
    taken = set(pairing.taken)
    return [g for g, ignored in enumerate(pairing.ignored) if not ignored and g not in taken]


def _prediction(pairing: ImagePairing, place: int) -> dict[str, Any]:
    predicted, true = pairing.order[place], pairing.taken[place]
    if true < 0:
        return _entry("FP", None, predicted, None)
    kind = "IGNORED" if pairing.ignored[true] else "TP"
    return _entry(kind, true, predicted, float(pairing.matrix[place, true]))


def _entry(
    kind: str, true: int | None, predicted: int | None, overlap: float | None
) -> dict[str, Any]:
    return {"kind": kind, "true_index": true, "predicted_index": predicted, "overlap": overlap}
