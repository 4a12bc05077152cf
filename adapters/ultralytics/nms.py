"""Non-maximum suppression of YOLO predictions: options, settings, and Ultralytics' function."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from snellen.adapters.adapter_options import AdapterOptions
from snellen.adapters.errors import ConfigError

if TYPE_CHECKING:
    from torch import Tensor

_CONFIDENCE, _IOU, _MAX_DETECTIONS = 0.25, 0.7, 300
_NO_TIME_LIMIT = 1e9


class YoloOptions(AdapterOptions):
    """Options of YOLO models; None keeps the model's or Ultralytics' own setting.

    Attributes:
        imgsz: side of the square input in pixels.
        nms: False takes the end-to-end head of a model that has two heads.
        nms_iou: of two boxes of one class that overlap more, the less confident is dropped.
        max_detections: maximum number of detections per image.
        multi_label: a box may count for several classes, or for its most confident one only.
    """

    imgsz: Annotated[int, Field(ge=1)] | None = None
    nms: bool | None = None
    nms_iou: Annotated[float, Field(ge=0, le=1)] | None = None
    max_detections: Annotated[int, Field(ge=1)] | None = None
    multi_label: bool = False


@dataclass(frozen=True, slots=True)
class NmsSettings:
    """Settings of non-maximum suppression.

    Attributes:
        confidence: predictions at or below it are dropped.
        iou: of two boxes of one class that overlap more, the less confident is dropped.
        max_detections: maximum number of detections per image.
        multi_label: a box may count for several classes (Ultralytics' evaluation) or for its
            most confident one only (its prediction).
    """

    confidence: float
    iou: float
    max_detections: int
    multi_label: bool


def nms_settings(
    options: YoloOptions, min_confidence: float | None, *, end2end: bool
) -> NmsSettings:
    """Return the settings of non-maximum suppression, with Ultralytics' own as defaults.

    Args:
        options: of the adapter.
        min_confidence: predictions at or below it are dropped; None keeps the default.
        end2end: the head of the model needs no suppression.

    Raises:
        ConfigError: OPTION_INVALID, a setting of suppression for a model that needs none.
    """
    if end2end and options.nms_iou is not None:
        raise ConfigError(
            "OPTION_INVALID",
            "model.nms_iou: this model's head needs no non-maximum suppression, so the "
            "setting would do nothing; remove it.",
        )
    return NmsSettings(
        confidence=_CONFIDENCE if min_confidence is None else min_confidence,
        iou=options.nms_iou or _IOU,
        max_detections=options.max_detections or _MAX_DETECTIONS,
        multi_label=options.multi_label,
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
        multi_label=settings.multi_label,
        max_det=settings.max_detections,
        nc=classes,
        end2end=end2end,
        # Its default gives up after some seconds and drops the rest of the batch with a warning.
        max_time_img=_NO_TIME_LIMIT,
    )
    return found
