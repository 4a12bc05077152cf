"""Non-maximum suppression of YOLO predictions: options, settings, and Ultralytics' function."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BeforeValidator, Field
from pydantic_core import PydanticCustomError

from snellen.adapters.adapter_options import AdapterOptions
from snellen.adapters.errors import ConfigError

if TYPE_CHECKING:
    from torch import Tensor

    from snellen.adapters.types import AdapterSpec

MAX_DETECTIONS = 300
"""Ultralytics' maximum number of detections per image."""
_CONFIDENCE, _IOU = 0.25, 0.7
_NO_TIME_LIMIT = 1e9


def _image_size(value: Any) -> Any:
    pair = isinstance(value, list | tuple) and len(value) == 2
    sides = value if pair else [value]
    if not all(type(side) is int and side > 0 for side in sides):
        raise PydanticCustomError(
            "image_size", "Input should be a number above 0, or [height, width]"
        )
    return tuple(sides) if pair else value


ImageSize = Annotated[int | tuple[int, int], BeforeValidator(_image_size)]
"""Side of a square, or height and width, in pixels."""


def height_and_width(size: ImageSize) -> tuple[int, int]:
    """Return the height and the width of an image size."""
    return (size, size) if isinstance(size, int) else size


class YoloOptions(AdapterOptions):
    """Options of YOLO models; None keeps the model's or Ultralytics' own setting.

    Attributes:
        imgsz: side of the square input in pixels, or its height and width.
        nms: False takes the end-to-end head of a model that has two heads.
        nms_iou: of two boxes of one class that overlap more, the less confident is dropped.
        agnostic_nms: of boxes of any classes, too.
        max_detections: maximum number of detections per image.
    """

    imgsz: ImageSize | None = None
    nms: bool | None = None
    nms_iou: Annotated[float, Field(ge=0, le=1)] | None = None
    agnostic_nms: bool = False
    max_detections: Annotated[int, Field(ge=1)] | None = None


def max_detections(options: YoloOptions) -> int:
    """Return the maximum number of detections per image."""
    return options.max_detections or MAX_DETECTIONS


@dataclass(frozen=True, slots=True)
class NmsSettings:
    """Settings of non-maximum suppression.

    Attributes:
        confidence: predictions at or below it are dropped.
        iou: of two boxes of one class that overlap more, the less confident is dropped.
        max_detections: maximum number of detections per image.
        multi_label: a box may count for several classes (Ultralytics' evaluation) or for its
            most confident one only (its prediction).
        agnostic: boxes of different classes suppress each other, too.
    """

    confidence: float
    iou: float
    max_detections: int
    multi_label: bool
    agnostic: bool = False


def nms_settings(options: YoloOptions, spec: AdapterSpec, *, end2end: bool) -> NmsSettings:
    """Return the settings of non-maximum suppression, with Ultralytics' own as defaults.

    Args:
        options: of the adapter.
        spec: its ``min_confidence``, which drops predictions at or below it, and its
            ``multi_label``; a box counts for its most confident class alone where that is None.
        end2end: the head of the model needs no suppression.

    Raises:
        ConfigError: OPTION_INVALID, a setting of suppression for a model that needs none.
    """
    for key, given in (
        ("nms_iou", options.nms_iou is not None),
        ("agnostic_nms", options.agnostic_nms),
    ):
        if end2end and given:
            raise ConfigError(
                "OPTION_INVALID",
                f"model.{key} is {getattr(options, key)}. Expected no setting: this model's head "
                "works without non-maximum suppression. Remove it.",
            )
    return NmsSettings(
        confidence=_CONFIDENCE if spec.min_confidence is None else spec.min_confidence,
        iou=options.nms_iou or _IOU,
        max_detections=max_detections(options),
        multi_label=bool(spec.multi_label),
        agnostic=options.agnostic_nms,
    )


def suppress(
    predictions: Tensor, settings: NmsSettings, classes: int, *, end2end: bool
) -> list[Tensor]:
    """Run Ultralytics' own non-maximum suppression.

    Args:
        predictions: shape (N, 4 + classes + extra, anchors); (N, detections, 6 + extra) of an
            end-to-end head.
        settings: of the suppression.
        classes: number of classes.
        end2end: the predictions need no suppression and are only filtered.

    Returns:
        One tensor per image, shape (n, 6 + extra): x1, y1, x2, y2 in pixels of the model's input,
        confidence, class, and mask coefficients or keypoints; by falling confidence.
    """
    from ultralytics.utils.nms import non_max_suppression

    found: list[Tensor] = non_max_suppression(
        predictions,
        settings.confidence,
        settings.iou,
        agnostic=settings.agnostic,
        multi_label=settings.multi_label,
        max_det=settings.max_detections,
        nc=classes,
        end2end=end2end,
        # Its default gives up after some seconds and drops the rest of the batch with a warning.
        max_time_img=_NO_TIME_LIMIT,
    )
    return found
