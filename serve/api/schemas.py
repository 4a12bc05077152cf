"""The bodies of requests and answers, in the specification's names.

Boxes are absolute pixels of the upright image; times are milliseconds.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.json_schema import SkipJsonSchema

MAX_ID = 2**31 - 1
"""Ids are 32-bit integers in Postgres."""
Id = Annotated[int, Field(ge=1, le=MAX_ID)]
ClassName = Annotated[str, Field(max_length=500)]
CHECKPOINT = r"^(best|last|[0-9]{1,9})$"
CheckpointName = Annotated[str, Field(pattern=CHECKPOINT)]


class Schema(BaseModel):
    """A body; unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", protected_namespaces=())


class ProblemDocument(BaseModel):
    """RFC 9457; ``code`` is stable, ``detail`` is for people.

    ``stage`` says what was being done with an image that failed; ``errors`` (``loc``, ``msg``)
    which parameters are wrong.
    """

    type: str
    title: str
    status: Annotated[int, Field(ge=400, le=599)]
    detail: str
    code: Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9_]*$")]
    stage: str | SkipJsonSchema[None] = None
    errors: list[dict[str, Any]] | SkipJsonSchema[None] = None


class SingleInferenceRequest(Schema):
    """What may be said about an image, as form fields or query parameters."""

    training_job_id: Id
    checkpoint: CheckpointName = "best"
    confidence: Annotated[float, Field(ge=0.0, le=1.0, allow_inf_nan=False)] | None = None
    visualize: bool = False
    record: bool | None = None


class ClassScoreResponse(Schema):
    """A class and its softmax probability."""

    label_id: int
    label: str
    confidence: float


class BoxResponse(Schema):
    """``bbox`` is [x centre, y centre, width, height], ``xyxy`` the corners; both in pixels."""

    class_id: int
    label: str
    confidence: float
    bbox: list[float]
    format: Literal["xywh_center_px"] = "xywh_center_px"
    xyxy: list[float]


class MaskResponse(Schema):
    """COCO's compressed RLE; ``size`` is [height, width]."""

    size: list[int]
    counts: str


class KeypointResponse(Schema):
    """Pixels, and the confidence ``v``."""

    x: float
    y: float
    v: float


class PoseResponse(Schema):
    """The keypoints of one detection."""

    keypoints: list[KeypointResponse]


class InferenceResultResponse(Schema):
    """The prediction for one image.

    ``predicted_boxes``, ``predicted_masks`` and ``predicted_keypoints`` are parallel. ``id`` and
    ``inference_job_id`` are null for a request that is not recorded. ``visualization`` is a
    ``data:`` URL of a JPEG; ``visualization_path`` names it among the recorded files.
    """

    id: int | None
    inference_job_id: int | None
    training_job_id: int
    checkpoint: str
    checkpoint_sha256: str
    task_type: str
    image_path: str
    image_name: str
    image_index: int | None = None
    width: int | None = None
    height: int | None = None

    predicted_label: str | None = None
    predicted_label_id: int | None = None
    confidence: float | None = None
    top5_predictions: list[ClassScoreResponse] | None = None
    predicted_boxes: list[BoxResponse] | None = None
    predicted_masks: list[MaskResponse] | None = None
    predicted_mask_path: str | None = None
    predicted_keypoints: list[PoseResponse] | None = None

    inference_time_ms: float
    preprocessing_time_ms: float = 0.0
    postprocessing_time_ms: float = 0.0
    visualization: str | None = None
    visualization_path: str | None = None
    extra_data: dict[str, Any] | None = None
    created_at: datetime


class TrainingJobResponse(Schema):
    """A trained model. No path of the server is in it."""

    id: int
    name: str
    framework: str
    task_type: str
    model_name: str | None = None
    class_names: list[str] | None = None
    num_classes: int | None = None
    created_at: datetime


class TrainingJobListResponse(Schema):
    """A page of training jobs, newest first."""

    total_count: int
    jobs: list[TrainingJobResponse]


class CheckpointResponse(Schema):
    """One checkpoint: what to ask for, and what its training recorded."""

    name: str
    epoch: int | None = None
    file: str
    metric: float | None = None


class CheckpointListResponse(Schema):
    """The checkpoints of a training job."""

    training_job_id: int
    checkpoints: list[CheckpointResponse]


class TrainingJobRequest(Schema):
    """A run directory to register: absolute, or relative to one of the configured roots."""

    output_dir: Annotated[str, Field(min_length=1, max_length=4096)]
    name: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    class_names: Annotated[list[ClassName], Field(max_length=100_000)] | None = None


class HealthResponse(Schema):
    """``alive``, or ``ready`` with what was looked at."""

    status: str
    checks: dict[str, str] = {}
