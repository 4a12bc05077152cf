"""Small tables of result rows for the examples in the docstrings of the metrics."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

_BOX = [(name, pa.float32()) for name in ("x1", "y1", "x2", "y2")]
_TRUE = pa.struct(
    [
        ("class_id", pa.int32()),
        *_BOX,
        ("area", pa.float32()),
        ("is_crowd", pa.bool_()),
        ("ignore", pa.bool_()),
    ]
)
_PREDICTED = pa.struct([("class_id", pa.int32()), *_BOX, ("confidence", pa.float32())])
_TOP5 = pa.struct([("label_id", pa.int32()), ("label", pa.string()), ("confidence", pa.float32())])
_DETECTION = pa.schema(
    [
        ("image_index", pa.int64()),
        ("image_id", pa.string()),
        ("height", pa.int32()),
        ("width", pa.int32()),
        ("status", pa.string()),
        ("true_boxes", pa.list_(_TRUE)),
        ("predicted_boxes", pa.list_(_PREDICTED)),
    ]
)
_CLASSIFICATION = pa.schema(
    [
        ("image_index", pa.int64()),
        ("image_id", pa.string()),
        ("status", pa.string()),
        ("true_label_id", pa.int32()),
        ("predicted_label_id", pa.int32()),
        ("top5_predictions", pa.list_(_TOP5)),
        ("confidence", pa.float32()),
        ("true_confidence", pa.float32()),
        ("loss", pa.float32()),
    ]
)


def detection_rows() -> pa.Table:
    """Return two images of a detector of two classes, as rows of a result file.

    Image 0 has an object of each class: the first one is found with an IoU of 0.9, and the other
    one is predicted as class 0. Image 1 has no object, and one of class 1 is predicted.
    """
    rows = [
        _detected(0, [_true(0, 0, 10), _true(1, 20, 30)], [(0, 0, 0.9), (0, 20, 0.8)]),
        _detected(1, [], [(1, 40, 0.6)]),
    ]
    return pa.Table.from_pylist(rows, schema=_DETECTION)


def _detected(
    index: int, true: list[dict[str, Any]], predicted: list[tuple[int, int, float]]
) -> dict[str, Any]:
    return {
        "image_index": index,
        "image_id": f"{index}.png",
        "height": 64,
        "width": 64,
        "status": "ok",
        "true_boxes": true,
        "predicted_boxes": [
            {"class_id": c, "x1": x, "y1": x, "x2": x + 10, "y2": x + 9, "confidence": p}
            for c, x, p in predicted
        ],
    }


def _true(class_id: int, low: int, high: int) -> dict[str, Any]:
    box = {"x1": low, "y1": low, "x2": high, "y2": high, "area": (high - low) ** 2}
    return {"class_id": class_id, **box, "is_crowd": False, "ignore": False}


def classification_rows() -> pa.Table:
    """Return four images of a classifier of two classes, as rows of a result file.

    Classes 0, 0, 1, 1 are predicted as 0, 1, 1, 1 with a confidence of 0.9, 0.6, 0.8 and 0.7.
    """
    images = [(0, 0, 0.9, 0.9), (0, 1, 0.6, 0.4), (1, 1, 0.8, 0.8), (1, 1, 0.7, 0.7)]
    rows = [
        {
            "image_index": index,
            "image_id": f"{index}.png",
            "status": "ok",
            "true_label_id": true,
            "predicted_label_id": predicted,
            "top5_predictions": [{"label_id": predicted, "label": "", "confidence": confidence}],
            "confidence": confidence,
            "true_confidence": of_true,
            "loss": 0.5,
        }
        for index, (true, predicted, confidence, of_true) in enumerate(images)
    ]
    return pa.Table.from_pylist(rows, schema=_CLASSIFICATION)
