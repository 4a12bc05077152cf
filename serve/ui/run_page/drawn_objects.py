"""The objects of one image as shapes: boxes, masks and skeletons, each with its match."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from snellen.serve.api.runs.row_reader import Row
from snellen.serve.ui.formats import tag
from snellen.serve.ui.run_page.tiles import KINDS, Box, corner, corners
from snellen.serve.ui.shapes import Skeleton, mask_path, skeleton

_ORDER = ("tp", "fp", "pr", "fn", "ign")
_RADIUS, _CORNER = 0.004, 0.025
"""Radius of a keypoint and side of the corner of a false positive, of the longer side."""


@dataclass(frozen=True, slots=True)
class DrawnObject:
    """An object of an image.

    Attributes:
        index: place in the list of objects.
        kind: class in the style sheet; ``pr`` for a prediction without ground truth.
        label: predicted class, or that of a missed object.
        true_label: class of the ground truth; empty without.
        confidence: of the prediction.
        overlap: IoU or OKS with the ground truth.
        true, predicted: boxes; None for none.
        corner: path that marks a false positive.
        mask: path of the mask; empty without.
        skeleton: keypoints; None without.
        note: ``missed``, ``crowd`` or ``ignored``, in place of a confidence.
    """

    index: int
    kind: str
    label: str
    true_label: str
    confidence: float | None
    overlap: float | None
    true: Box | None
    predicted: Box | None
    corner: str
    mask: str
    skeleton: Skeleton | None
    note: str

    @property
    def box(self) -> Box:
        """Return the box that stands for the object."""
        found = self.predicted or self.true
        assert found is not None
        return found

    @property
    def size(self) -> str:
        """Return the size of the box in pixels: ``792 × 499``."""
        x1, y1, x2, y2 = self.box
        return f"{x2 - x1:.0f} × {y2 - y1:.0f}"

    @property
    def tag(self) -> str:
        """Return the text beside the box."""
        name = tag(self.label)
        return f"{name}, {self.note}" if self.note else f"{name} {self.confidence:.3f}"

    @property
    def is_back(self) -> tuple[bool, float]:
        """Return the order of drawing: ignored objects first, then large ones."""
        x1, y1, x2, y2 = self.box
        return self.kind != "ign", -(x2 - x1) * (y2 - y1)


def drawn_objects(row: Row, names: Sequence[str]) -> list[DrawnObject]:
    """Return the objects of an image in the order of the list.

    Predictions below the operating point have no match and are not among them. Without ground
    truth all stored predictions are.

    Args:
        row: the whole result row.
        names: K unique class names.
    """
    matches = row.get("matches")
    if matches is None:
        boxes = row.get("predicted_boxes") or ()
        matches = [
            {"kind": "", "true_index": None, "predicted_index": n, "overlap": None}
            for n in range(len(boxes))
        ]
    found = [_object(row, match, names) for match in matches]
    found.sort(key=lambda one: (_ORDER.index(one["kind"]) // 3, -(one["confidence"] or 0)))
    return [DrawnObject(index=n, **one) for n, one in enumerate(found)]


def hidden_predictions(row: Row) -> int:
    """Return the number of stored predictions below the operating point."""
    if row.get("matches") is None:
        return 0
    used = sum(match["predicted_index"] is not None for match in row["matches"])
    return len(row.get("predicted_boxes") or ()) - used


def _object(row: Row, match: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    kind = KINDS.get(match["kind"], "pr")
    true = _item(row, "true_boxes", match["true_index"])
    predicted = _item(row, "predicted_boxes", match["predicted_index"])
    shown = predicted or true
    side, place = (
        ("predicted", match["predicted_index"]) if predicted else ("true", match["true_index"])
    )
    longest = max(row["width"], row["height"])
    mask = _item(row, f"{side}_masks", place)
    points = _item(row, f"{side}_keypoints", place)
    return {
        "kind": kind,
        "label": names[shown["class_id"]],
        "true_label": names[true["class_id"]] if true else "",
        "confidence": predicted["confidence"] if predicted else None,
        "overlap": match["overlap"],
        "true": corners(true) if true else None,
        "predicted": corners(predicted) if predicted else None,
        "corner": corner(corners(predicted), _CORNER * longest) if kind == "fp" else "",
        "mask": mask_path(mask, row["height"], row["width"]) if mask else "",
        "skeleton": skeleton(points, max(1.0, _RADIUS * longest)) if points else None,
        "note": _note(true) if not predicted else "",
    }


def _item(row: Row, column: str, place: int | None) -> Any:
    values = row.get(column)
    return None if place is None or values is None else values[place]


def _note(true: Mapping[str, Any]) -> str:
    if true["is_crowd"]:
        return "crowd"
    return "ignored" if true["ignore"] else "missed"
