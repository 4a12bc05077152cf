"""Types shared by every package: tasks, decoded images, predictions, model descriptions.

This module imports nothing heavy, so that ``metrics`` and ``store`` can name a task without
importing a deep-learning framework.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, TypedDict

import numpy as np
import numpy.typing as npt

from snellen.adapters.errors import ErrorCode, ErrorStage


class TaskType(StrEnum):
    """Task of a model."""

    IMAGE_CLASSIFICATION = "image_classification"
    OBJECT_DETECTION = "object_detection"
    INSTANCE_SEGMENTATION = "instance_segmentation"
    POSE_ESTIMATION = "pose_estimation"


class ImageStatus(StrEnum):
    """Status of an image: it has a prediction (``ok``) or an error code (``failed``)."""

    OK = "ok"
    FAILED = "failed"


class ClassScore(TypedDict):
    """Entry of ``top5_predictions``; ``confidence`` is a softmax probability."""

    label_id: int
    label: str
    confidence: float


class Box(TypedDict):
    """Predicted box: ``xyxy`` in absolute pixels of the upright original image."""

    class_id: int
    x1: float
    y1: float
    x2: float
    y2: float
    confidence: float


class Keypoint(TypedDict):
    """Predicted keypoint: absolute pixels of the upright image; ``v`` is its confidence."""

    x: float
    y: float
    v: float


@dataclass(slots=True)
class DecodedImage:
    """A decoded image, after the one image rule; the input of every adapter.

    Attributes:
        pixels: uint8, shape (height, width, 3), RGB, upright (EXIF orientation applied).
        n_frames: number of frames in the file; frame 0 is decoded.
        warnings: repairs and ignored parts ("corrupt EXIF ignored").
    """

    pixels: npt.NDArray[np.uint8]
    n_frames: int = 1
    warnings: list[str] = field(default_factory=list)

    @property
    def width(self) -> int:
        """Width in pixels, upright."""
        return int(self.pixels.shape[1])

    @property
    def height(self) -> int:
        """Height in pixels, upright."""
        return int(self.pixels.shape[0])


@dataclass(frozen=True, slots=True)
class OutputClasses:
    """The classes that the outputs of a model count as, where they are not its own.

    Attributes:
        names: E class names.
        groups: for each class its outputs, rising; empty for a class that is never predicted. An
            output that is in no group is ignored.
        nms_iou: in a class of several outputs, of two boxes that overlap more the less confident
            is dropped.
    """

    names: tuple[str, ...]
    groups: tuple[tuple[int, ...], ...]
    nms_iou: float = 0.7


@dataclass(slots=True)
class Preprocessed:
    """One image ready to be batched: output of ``preprocess``, input of ``forward``.

    Attributes:
        array: uint8; the shape is the same for every image of a model, e.g. (3, 224, 224).
            Normalisation happens later, on the device.
        width, height: of the upright original image, in pixels.
        geometry: numbers that postprocessing needs to map coordinates back (scale, padding);
            empty for classification.
        extra: ``n_frames`` and ``warnings`` if there are any; copied to ``extra_data``.
        min_confidence: detections of this image at or below it are dropped; None keeps the
            model's own setting. Images of one batch may have different limits.
        max_mask_pixels: maximum number of mask pixels of this image: the least confident
            detections are dropped, with a warning in the result, until detections times pixels
            of the image is at most this. None keeps all detections.
        classes: the classes that the outputs count as, the same for all images of a batch; None
            for the model's own.
    """

    array: npt.NDArray[np.uint8]
    width: int
    height: int
    geometry: tuple[float, ...] = ()
    extra: dict[str, Any] = field(default_factory=dict)
    min_confidence: float | None = None
    max_mask_pixels: int | None = None
    classes: OutputClasses | None = None

    @classmethod
    def of(cls, array: npt.NDArray[np.uint8], image: DecodedImage) -> Preprocessed:
        """Return the item of a prepared image, with the image's size, frames and warnings."""
        extra: dict[str, Any] = {}
        if image.n_frames > 1:
            extra["n_frames"] = image.n_frames
        if image.warnings:
            extra["warnings"] = list(image.warnings)
        return cls(array, image.width, image.height, extra=extra)


@dataclass(slots=True)
class InferenceResult:
    """Prediction of a model of any framework for one image.

    Boxes are ``xyxy`` in absolute pixels of the upright original image. Times are milliseconds.
    A failed image has ``status == "failed"`` with stage, code and message, and no prediction.
    ``true_confidence`` (softmax probability of the true class) and ``loss`` (cross-entropy,
    natural logarithm) are None without a target. Class ids are those of ``classes``, of the model's
    own classes where that is None.
    """

    image_path: str
    image_name: str
    task_type: TaskType

    predicted_label: str | None = None
    predicted_label_id: int | None = None
    confidence: float | None = None
    top5_predictions: list[ClassScore] | None = None

    predicted_boxes: list[Box] | None = None
    predicted_masks: list[bytes] | None = None
    predicted_mask: npt.NDArray[np.uint8] | None = None
    predicted_mask_path: str | None = None
    predicted_keypoints: list[list[Keypoint]] | None = None

    inference_time_ms: float = 0.0
    preprocessing_time_ms: float = 0.0
    postprocessing_time_ms: float = 0.0

    width: int | None = None
    height: int | None = None
    true_confidence: float | None = None
    loss: float | None = None
    status: ImageStatus = ImageStatus.OK
    error_stage: ErrorStage | None = None
    error_code: ErrorCode | None = None
    error_message: str | None = None
    extra_data: dict[str, Any] = field(default_factory=dict)
    classes: OutputClasses | None = None


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """Description of a loaded checkpoint; stored with the run.

    Attributes:
        framework: registry name of the adapter, e.g. ``timm``.
        architecture: the framework's model name, e.g. ``resnet18``.
        num_classes: number of outputs, K.
        class_names: K names in the order of the outputs, or None if neither the checkpoint nor
            its run directory holds them.
        class_names_source: source of the names, for people ("args.yaml data_dir").
        input_shape: shape of ``Preprocessed.array``, e.g. (3, 224, 224).
        parameters: number of parameters.
        flops_per_image: floating-point operations of one forward pass (2 per multiply-add), or
            None if it is not known.
        checkpoint_path, checkpoint_sha256: of the loaded file; empty if there is none.
        weights: key of the weights in the file, e.g. ``state_dict_ema``.
        epoch: the checkpoint's own numbering, or None.
        preprocess: the resolved preprocessing, JSON-serialisable.
        versions: versions of the libraries that determine a result, e.g. {"torch": "2.15.0"}.
        max_detections: maximum number of objects per image; None for other tasks, or if unknown.
        keypoints: number of keypoints of an object; None for other tasks, or if unknown.
    """

    framework: str
    architecture: str
    task_type: TaskType
    num_classes: int
    class_names: tuple[str, ...] | None
    class_names_source: str | None
    input_shape: tuple[int, ...]
    parameters: int
    flops_per_image: float | None
    checkpoint_path: str
    checkpoint_sha256: str
    weights: str | None
    epoch: int | None
    preprocess: dict[str, Any]
    versions: dict[str, str]
    max_detections: int | None = None
    keypoints: int | None = None


@dataclass(frozen=True, slots=True)
class AdapterSpec:
    """Settings from which a worker builds the same adapter; small and picklable.

    Attributes:
        adapter: registry name (``timm``) or ``module:Class`` of an installed package.
        checkpoint: absolute path of the checkpoint, or None for adapters without one.
        architecture: model name, or None to take it from the checkpoint.
        class_names: names in output order, or None to take them from the checkpoint.
        min_confidence: predictions below it are dropped (detection); None keeps the preset.
        multi_label: a box may count for several classes (detection), as average precision expects,
            or for its most confident one only; None keeps the adapter's default.
        precision: ``fp32``, ``fp16`` or ``bf16``.
        preprocess: overrides of the framework's preprocessing, e.g. {"img_size": 288}.
        options: further keys that only this adapter knows.
    """

    adapter: str
    checkpoint: str | None = None
    architecture: str | None = None
    class_names: tuple[str, ...] | None = None
    min_confidence: float | None = None
    multi_label: bool | None = None
    precision: str = "fp32"
    preprocess: dict[str, Any] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)
