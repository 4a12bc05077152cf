"""Matches of one image at the operating point: what a result row keeps.

The rule is COCO's (see `snellen.metrics.detection.assignment.greedy`), for one image and one
threshold.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from snellen.metrics.detection.overlaps import Floats, Kind
from snellen.metrics.parity.image_pairing import ImagePairing, ImageSettings, Row


@dataclass(frozen=True, slots=True)
class ImageMatches:
    """The matches of one image.

    Attributes:
        matches: dicts of kind (TP, FP, FN, IGNORED), true_index, predicted_index (None where
            there is none) and overlap (None without a partner): the predictions that are sure
            enough, by falling confidence, then the missed truths.
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
    true_boxes: Sequence[Row],
    predicted_boxes: Sequence[Row],
    *,
    kind: Kind,
    height: int,
    width: int,
    true_masks: Sequence[bytes] | None = None,
    predicted_masks: Sequence[bytes] | None = None,
    true_keypoints: Sequence[Sequence[Row]] | None = None,
    predicted_keypoints: Sequence[Sequence[Row]] | None = None,
    confidence: float = 0.25,
    overlap: float = 0.5,
    sigmas: Sequence[float] | None = None,
) -> ImageMatches:
    """Match one image's predictions with its truths, class by class.

    Predictions at or above ``confidence`` are taken by falling confidence, equal ones in their
    order; each takes the free truth of its class that it overlaps most and by at least
    ``overlap``, the last of equals. A prediction that finds no such truth but an ignored one (a
    crowd, ``ignore``, a pose without visible points) is IGNORED, as such truths are never
    missed; crowds may be met any number of times, and by the share of the prediction inside.

    Args:
        true_boxes: dicts of class_id, x1, y1, x2, y2 (pixels), area, is_crowd, ignore.
        predicted_boxes: dicts of class_id, x1, y1, x2, y2, confidence.
        kind: bbox and segm compare by IoU, keypoints by OKS.
        height: of the image, pixels; of the masks too.
        width: likewise.
        true_masks: parallel to the boxes, COCO compressed RLE; for segm.
        predicted_masks: likewise.
        true_keypoints: parallel to the boxes, K dicts of x, y, v each; for keypoints.
        predicted_keypoints: likewise.
        confidence: of the operating point.
        overlap: least overlap of a match.
        sigmas: falloffs of the keypoints, see `snellen.metrics.detection.overlaps.keypoint_sigmas`.

    Raises:
        ValueError: masks or keypoints are missing or not parallel to their boxes.
    """
    settings = ImageSettings(
        kind,
        height,
        width,
        true_masks,
        predicted_masks,
        true_keypoints,
        predicted_keypoints,
        confidence,
        overlap,
        sigmas,
    )
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
    """The cells of the confusion matrix that one image adds to: (true class, predicted class).

    The rule has two steps. First every match of `match_image` is a cell: its TPs are the
    diagonal, its IGNORED predictions are none. Then the predictions that are still without a
    truth take, by falling confidence, the free truth of another class that they overlap most
    and by at least the threshold, the last of equals. What is left pairs with the background,
    the last row and column. So a row sums to the truths of its class, a column to the TPs and
    FPs of its class, and the diagonal is the TPs: the matrix and the per-class precision and
    recall are one account. (A single class-agnostic pass, as Ultralytics has it, gives a TP's
    truth away where a prediction of another class is more confident.)

    Args:
        true_boxes: as in `match_image`.
        predicted_boxes: likewise.
        num_classes: K; the background's number.
        settings: the other arguments of `match_image`.

    Raises:
        ValueError: see `match_image`.
    """
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
