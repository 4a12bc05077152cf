"""Bodies of requests and responses, with the names of the specification.

Boxes are absolute pixels of the upright image; times are milliseconds.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.json_schema import SkipJsonSchema

MAX_ID = 2**31 - 1
"""Ids are 32-bit integers in Postgres."""
CHECKPOINT = r"^(best|last|[0-9]{1,9})$"
_CHECKPOINT_HELP = "Checkpoint of the training job: best, last or an epoch number."

Id = Annotated[int, Field(ge=1, le=MAX_ID)]
ClassName = Annotated[str, Field(max_length=500)]
JobId = Annotated[int, Field(ge=1, le=MAX_ID, description="Id of the training job to run.")]
CheckpointName = Annotated[str, Field(pattern=CHECKPOINT, description=_CHECKPOINT_HELP)]
AnyCheckpointName = Annotated[
    str, Field(description=_CHECKPOINT_HELP, json_schema_extra={"pattern": CHECKPOINT})
]
"""A checkpoint name that is validated later, so that a path gets its own error code."""
MinConfidence = Annotated[
    float,
    Field(
        ge=0.0,
        le=1.0,
        allow_inf_nan=False,
        description="Confidence threshold of detections, 0 to 1; classification ignores it.",
    ),
]
Visualize = Annotated[bool, Field(description="Also return the annotated image.")]
Explain = Annotated[
    Literal["gradcam"],
    Field(description="Also explain the predicted class of a timm classifier, by Grad-CAM."),
]
Record = Annotated[
    bool,
    Field(
        description="Record the request in the run tables; default: as configured in the service."
    ),
]


class Schema(BaseModel):
    """Base of all bodies; unknown keys are rejected."""

    model_config = ConfigDict(extra="forbid", protected_namespaces=())


class ProblemDocument(BaseModel):
    """An error (RFC 9457). `code` is stable, `detail` is meant for people."""

    type: str = Field(description="Always about:blank.")
    title: str = Field(description="Reason phrase of the status.")
    status: Annotated[int, Field(ge=400, le=599, description="HTTP status.")]
    detail: str = Field(description="Explanation of this error.")
    code: Annotated[
        str, Field(pattern=r"^[A-Z][A-Z0-9_]*$", description="Stable code of the error.")
    ]
    stage: str | SkipJsonSchema[None] = Field(
        None, description="Processing stage in which the image failed, such as decode."
    )
    errors: list[dict[str, Any]] | SkipJsonSchema[None] = Field(
        None, description="Invalid parameters: location (loc) and message (msg) of each."
    )


class ClassScoreResponse(Schema):
    """A class with its probability."""

    label_id: int = Field(description="Index of the class, from 0.")
    label: str = Field(description="Name of the class.")
    confidence: float = Field(description="Softmax probability, 0 to 1.")


class BoxResponse(Schema):
    """A detected box."""

    class_id: int = Field(description="Index of the class, from 0.")
    label: str = Field(description="Name of the class.")
    confidence: float = Field(description="Confidence, 0 to 1.")
    bbox: list[float] = Field(description="[x centre, y centre, width, height] in pixels.")
    format: Literal["xywh_center_px"] = Field("xywh_center_px", description="Format of bbox.")
    xyxy: list[float] = Field(description="[left, top, right, bottom] in pixels.")


class MaskResponse(Schema):
    """An instance mask in COCO's compressed run-length encoding (RLE)."""

    size: list[int] = Field(description="[height, width] of the image in pixels.")
    counts: str = Field(description="Compressed run lengths.")


class KeypointResponse(Schema):
    """A keypoint."""

    x: float = Field(description="Pixels from the left edge.")
    y: float = Field(description="Pixels from the top edge.")
    v: float = Field(description="Confidence, 0 to 1.")


class PoseResponse(Schema):
    """The keypoints of one detection."""

    keypoints: list[KeypointResponse] = Field(description="In the order of the model.")


class ExplanationResponse(Schema):
    """Regions of the image that support the predicted class."""

    method: Literal["gradcam"] = Field("gradcam", description="Method of the explanation.")
    class_id: int = Field(description="Index of the explained class.")
    region: list[float] = Field(
        description="[left, top, right, bottom] in pixels that the heat map covers: what the model "
        "sees. It may reach beyond the image."
    )
    heat: str = Field(
        description="Heat map as a data: URL of a PNG, to be laid over the region; transparent "
        "where the evidence is weak."
    )


class InferenceResultResponse(Schema):
    """The prediction for one image.

    `predicted_boxes`, `predicted_masks` and `predicted_keypoints` are parallel lists. Fields that
    the task does not have are null.
    """

    id: int | None = Field(description="Id of the recorded result; null if not recorded.")
    inference_job_id: int | None = Field(
        description="Id of the recorded inference job; null if not recorded."
    )
    training_job_id: int = Field(description="Id of the training job.")
    checkpoint: str = Field(description="Checkpoint as requested: best, last or an epoch number.")
    checkpoint_sha256: str = Field(description="sha256 of the checkpoint file (hexadecimal).")
    task_type: str = Field(description="Task of the model, such as object_detection.")
    image_path: str = Field(description="Same as image_name.")
    image_name: str = Field(description="File name of the upload, without folders.")
    image_index: int | None = Field(None, description="Always 0.")
    width: int | None = Field(None, description="Width of the upright image in pixels.")
    height: int | None = Field(None, description="Height of the upright image in pixels.")

    predicted_label: str | None = Field(None, description="Name of the predicted class.")
    predicted_label_id: int | None = Field(None, description="Index of the predicted class.")
    confidence: float | None = Field(None, description="Confidence of the predicted class, 0 to 1.")
    top5_predictions: list[ClassScoreResponse] | None = Field(
        None, description="The five most confident classes, most confident first."
    )
    predicted_boxes: list[BoxResponse] | None = Field(
        None, description="Detected boxes, most confident first."
    )
    predicted_masks: list[MaskResponse] | None = Field(None, description="One mask per box.")
    predicted_mask_path: str | None = Field(None, description="Not used; always null.")
    predicted_keypoints: list[PoseResponse] | None = Field(None, description="One pose per box.")

    inference_time_ms: float = Field(
        description="Inference time of its batch divided by the batch size (ms)."
    )
    preprocessing_time_ms: float = Field(
        0.0, description="Time to decode and preprocess the image (ms)."
    )
    postprocessing_time_ms: float = Field(0.0, description="Postprocessing time (ms).")
    visualization: str | None = Field(
        None, description="Annotated image as a data: URL of a JPEG, if requested."
    )
    explanation: ExplanationResponse | None = Field(
        None, description="Explanation of the predicted class, if requested."
    )
    visualization_path: str | None = Field(
        None, description="Path of the recorded annotated image below the folder of the runs."
    )
    extra_data: dict[str, Any] | None = Field(
        None, description="Additional information, such as warnings."
    )
    created_at: datetime = Field(description="Time of the prediction (UTC).")


class TrainingJobResponse(Schema):
    """A trained model. Contains no path of the server."""

    id: int = Field(description="Id, for training_job_id.")
    name: str = Field(description="Name of the training job.")
    framework: str = Field(description="Adapter that loads the model, such as timm.")
    task_type: str = Field(description="Task of the model, such as object_detection.")
    model_name: str | None = Field(None, description="Architecture.")
    class_names: list[str] | None = Field(None, description="Names of the classes, by index.")
    num_classes: int | None = Field(None, description="Number of classes.")
    created_at: datetime = Field(description="Time of the registration (UTC).")


class TrainingJobListResponse(Schema):
    """A page of training jobs, newest first."""

    total_count: int = Field(description="Number of training jobs on all pages.")
    jobs: list[TrainingJobResponse] = Field(description="Training jobs on this page.")


class CheckpointResponse(Schema):
    """A checkpoint of a training job."""

    name: str = Field(description="Value for the parameter checkpoint.")
    epoch: int | None = Field(None, description="Epoch number, from the training logs.")
    file: str = Field(description="File name, without folders.")
    metric: float | None = Field(None, description="Validation metric recorded in training.")


class CheckpointListResponse(Schema):
    """The checkpoints of a training job."""

    training_job_id: int = Field(description="Id of the training job.")
    checkpoints: list[CheckpointResponse] = Field(description="Its checkpoints.")


class TrainingJobRequest(Schema):
    """A run directory to register."""

    output_dir: Annotated[
        str,
        Field(
            min_length=1,
            max_length=4096,
            description="Run directory: absolute, or relative to one of the configured roots.",
        ),
    ]
    name: Annotated[str, Field(min_length=1, max_length=200)] | None = Field(
        None, description="Name of the training job; default: name of the directory."
    )
    class_names: Annotated[list[ClassName], Field(max_length=100_000)] | None = Field(
        None, description="Names of the classes, by index; default: read from the directory."
    )


class HealthResponse(Schema):
    """Health of the service."""

    status: str = Field(description="alive or ready.")
    checks: dict[str, str] = Field({}, description="Result of each check.")
