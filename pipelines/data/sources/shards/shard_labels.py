"""Labels in tar shards: the text of ``.cls`` and ``.txt`` members, and ``.json`` documents."""

from __future__ import annotations

import json
from typing import Any

from snellen.adapters.errors import ErrorCode
from snellen.pipelines.data.sources.annotations import (
    LabelProblem,
    Targets,
    TrueBox,
    keypoints_of,
    mask_of_polygons,
)


def parse_label(data: bytes, suffix: str) -> str | Targets | LabelProblem:
    """Return the label in a member; one that cannot be used is a problem of its image.

    Args:
        data: content of the member.
        suffix: ``.cls``, ``.txt`` or ``.json``.
    """
    try:
        text = data.decode("utf-8").strip()
        if suffix != ".json":
            return text
        document = json.loads(text)
        if isinstance(document, dict) and "boxes" in document:
            return _parse_targets(document)
        label = document["label"] if isinstance(document, dict) else document
        if not isinstance(label, str | int):
            raise ValueError(f"{label!r} is neither a name nor a class id")
        return str(label)
    except LabelProblem as problem:
        return problem
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        return LabelProblem(ErrorCode.LABEL_INVALID, f"the label is malformed: {error}")


def _parse_targets(document: dict[str, Any]) -> Targets:
    masks, keypoints = document.get("masks"), document.get("keypoints")
    found = Targets()
    for number, box in enumerate(document["boxes"]):
        corners = (float(box["x1"]), float(box["y1"]), float(box["x2"]), float(box["y2"]))
        area = box.get("area")
        found.boxes.append(
            TrueBox(
                int(box["class_id"]),
                corners,
                area=None if area is None else float(area),
                is_crowd=bool(box.get("is_crowd", False)),
                ignore=bool(box.get("ignore", False)),
            ).to_row(f"box {number}")
        )
    if masks is not None:
        size = int(document["height"]), int(document["width"])
        found.masks = [mask_of_polygons(polygons, *size) for polygons in masks]
    if keypoints is not None:
        found.keypoints = [
            keypoints_of([v for point in points for v in point]) for points in keypoints
        ]
    return found
