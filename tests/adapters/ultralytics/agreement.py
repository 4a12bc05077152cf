"""Agreement with ``YOLO(...).predict`` at equal settings."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pycocotools import mask as rle

from snellen.adapters.types import Box, InferenceResult
from snellen.adapters.ultralytics.environment import import_ultralytics

PIXELS, CONFIDENCE, MASK_IOU = 1e-2, 1e-4, 0.999
OBJECTS = ("detect", "segment", "pose")
Pixels = npt.NDArray[np.uint8]


@cache
def yolo(path: Path, nms: bool | None) -> Any:
    """Load one object per head: the first prediction fuses the model and drops the other head."""
    import_ultralytics()
    from ultralytics import YOLO

    return YOLO(str(path))


def theirs(path: Path, image: Pixels, *, confidence: float, **settings: Any) -> Any:
    """Return Ultralytics' own prediction; it takes BGR arrays."""
    found = yolo(path, settings.get("nms")).predict(
        np.ascontiguousarray(image[..., ::-1]), rect=False, retina_masks=True, conf=confidence,
        device="cpu", verbose=False, **settings,
    )  # fmt: skip
    return found[0]


def corners(box: Box) -> tuple[float, float, float, float]:
    return box["x1"], box["y1"], box["x2"], box["y2"]


def assert_same_boxes(ours: InferenceResult, expected: Any) -> None:
    boxes = ours.predicted_boxes or []
    assert len(boxes) == len(expected.boxes)
    corners = np.array([[box[k] for k in ("x1", "y1", "x2", "y2")] for box in boxes])
    assert np.abs(corners.reshape(-1, 4) - expected.boxes.xyxy.numpy()).max(initial=0) < PIXELS
    assert [box["class_id"] for box in boxes] == expected.boxes.cls.int().tolist()
    confidences = np.array([box["confidence"] for box in boxes])
    assert np.abs(confidences - expected.boxes.conf.numpy()).max(initial=0) < CONFIDENCE
    assert np.all(np.diff(confidences) <= 0)


def assert_same_masks(ours: InferenceResult, expected: Any) -> None:
    masks = ours.predicted_masks or []
    assert len(masks) == len(ours.predicted_boxes or [])
    for counts, mask in zip(masks, expected.masks.data.numpy() if masks else (), strict=True):
        mine = rle.decode({"size": [ours.height, ours.width], "counts": counts}).astype(bool)
        both = mask.astype(bool)
        assert mine.shape == both.shape
        assert (mine & both).sum() / (mine | both).sum() > MASK_IOU


def assert_same_keypoints(ours: InferenceResult, expected: Any) -> None:
    poses = ours.predicted_keypoints or []
    assert len(poses) == len(ours.predicted_boxes or [])
    points = np.array([[[p["x"], p["y"], p["v"]] for p in pose] for pose in poses])
    if len(poses):
        difference = np.abs(points - expected.keypoints.data.numpy())
        assert difference[..., :2].max() < PIXELS
        assert difference[..., 2].max() < CONFIDENCE


def assert_equal(task: str, ours: InferenceResult, expected: Any) -> None:
    assert_same_boxes(ours, expected)
    if task == "segment":
        assert_same_masks(ours, expected)
    if task == "pose":
        assert_same_keypoints(ours, expected)
