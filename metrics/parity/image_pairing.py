"""One image's truths and sure predictions, their overlaps, and COCO's rule for one threshold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from snellen.metrics.detection.overlaps import Floats, Kind, box_iou, keypoint_sigmas, mask_iou, oks

Row = Mapping[str, Any]


@dataclass(frozen=True)
class ImageSettings:
    """Arguments of `image_matching.match_image` beside the boxes."""

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
        order: indices of the predictions that are sure enough, by falling confidence.
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
        sure = _float32(box["confidence"] for box in predicted)
        least = np.float32(settings.confidence)
        ranking = np.argsort(-sure, kind="stable")
        self.order: list[int] = ranking[sure[ranking] >= least].tolist()
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
