"""Bodies of the images of test runs and inference jobs."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from snellen.serve.api.schemas import (
    BoxResponse,
    ClassScoreResponse,
    InferenceResultResponse,
    MaskResponse,
    PoseResponse,
    Schema,
)

SortColumn = Literal[
    "image_index",
    "image_id",
    "image_name",
    "confidence",
    "true_confidence",
    "loss",
    "iou",
    "oks",
    "tp",
    "fp",
    "fn",
    "inference_time_ms",
]
MatchKind = Literal["TP", "FP", "FN", "IGNORED"]
Confidence = Annotated[float, Field(ge=0.0, le=1.0, allow_inf_nan=False)]
Word = Annotated[str, Field(min_length=1, max_length=500)]


class ImageQuery(BaseModel):
    """Conditions, order and page of a list of images; absent conditions select all."""

    true_class: Word | None = Field(
        None, alias="class", description="Id or name of a class of the ground truth."
    )
    predicted_class: Word | None = Field(
        None, description="Id or name of a predicted class; for objects at the operating point."
    )
    correct: bool | None = Field(None, description="Correct or incorrect images only.")
    min_confidence: Confidence | None = Field(
        None, description="Minimum confidence of the top class or of the most confident box."
    )
    max_confidence: Confidence | None = Field(None, description="Maximum of the same.")
    match: MatchKind | None = Field(
        None, description="Images with a match of this kind at the operating point."
    )
    status: Literal["ok", "failed"] | None = Field(None, description="Status of the images.")
    error_code: Word | None = Field(None, description="Error code of failed images.")
    slice_by: Word | None = Field(
        None, description="Column, or image_size, object_size or object_count; with `slice`."
    )
    slice_value: Word | None = Field(None, alias="slice", description="Name of the slice.")
    text: Word | None = Field(None, description="Part of the image id, in any case.")
    sort: SortColumn = Field("image_index", description="Column to sort by; nulls come last.")
    descending: bool = Field(False, description="Sort in falling order.")
    skip: Annotated[int, Field(ge=0, le=2**31 - 1)] = Field(
        0, description="Number of images to skip."
    )
    limit: Annotated[int, Field(ge=1, le=1000)] = Field(
        100, description="Maximum number of images; with `objects`, at most 100."
    )
    objects: bool = Field(
        False, description="Also return boxes, masks, keypoints, matches and the top 5."
    )


class TrueBoxResponse(Schema):
    """A box of the ground truth."""

    class_id: int = Field(description="Index of the class, from 0.")
    label: str = Field(description="Name of the class.")
    bbox: list[float] = Field(description="[x centre, y centre, width, height] in pixels.")
    format: Literal["xywh_center_px"] = Field("xywh_center_px", description="Format of bbox.")
    xyxy: list[float] = Field(description="[left, top, right, bottom] in pixels.")
    area: float | None = Field(None, description="Area in pixels.")
    is_crowd: bool = Field(False, description="A group of objects.")
    ignore: bool = Field(False, description="Not counted.")


class MatchResponse(Schema):
    """A match of an object at the operating point."""

    kind: MatchKind = Field(description="True positive, false positive, missed, or ignored.")
    true_index: int | None = Field(None, description="Index in true_boxes.")
    predicted_index: int | None = Field(None, description="Index in predicted_boxes.")
    overlap: float | None = Field(None, description="IoU or OKS.")


class TestImageResultResponse(Schema):
    """The result of one image. Objects are null in lists without `objects`."""

    id: int = Field(description="Id of the row in SQL; image_index + 1 for larger runs.")
    test_run_id: int = Field(description="Id of the test run.")
    image_path: str | None = Field(None, description="Image id: path below the dataset's root.")
    image_name: str = Field(description="File name of the image.")
    image_index: int = Field(description="Position in the run, from 0.")
    width: int | None = Field(None, description="Width of the upright image in pixels.")
    height: int | None = Field(None, description="Height of the upright image in pixels.")
    status: Literal["ok", "failed"] = Field(description="Status of the image.")
    error_stage: str | None = Field(None, description="Stage at which it failed.")
    error_code: str | None = Field(None, description="Reason of the failure.")
    error_message: str | None = Field(None, description="Explanation of the failure.")

    true_label: str | None = Field(None, description="Name of the true class.")
    true_label_id: int | None = Field(None, description="Index of the true class.")
    predicted_label: str | None = Field(None, description="Name of the predicted class.")
    predicted_label_id: int | None = Field(None, description="Index of the predicted class.")
    confidence: float | None = Field(None, description="Confidence of the predicted class.")
    top5_predictions: list[ClassScoreResponse] | None = Field(
        None, description="The five most confident classes."
    )
    true_confidence: float | None = Field(None, description="Probability of the true class.")
    loss: float | None = Field(None, description="Cross-entropy.")

    true_boxes: list[TrueBoxResponse] | None = Field(None, description="True boxes.")
    predicted_boxes: list[BoxResponse] | None = Field(None, description="Predicted boxes.")
    true_masks: list[MaskResponse] | None = Field(None, description="One per true box.")
    predicted_masks: list[MaskResponse] | None = Field(None, description="One per predicted box.")
    true_mask_path: str | None = Field(None, description="Not used; always null.")
    predicted_mask_path: str | None = Field(None, description="Not used; always null.")
    true_keypoints: list[PoseResponse] | None = Field(None, description="One per true box.")
    predicted_keypoints: list[PoseResponse] | None = Field(
        None, description="One per predicted box."
    )
    matches: list[MatchResponse] | None = Field(None, description="Matches of the objects.")
    tp: int | None = Field(None, description="Number of true positives.")
    fp: int | None = Field(None, description="Number of false positives.")
    fn: int | None = Field(None, description="Number of missed objects.")

    is_correct: bool | None = Field(
        None, description="Null without ground truth, and for failed images."
    )
    iou: float | None = Field(None, description="Mean IoU of the true positives.")
    oks: float | None = Field(None, description="Mean OKS of the true positives.")
    inference_time_ms: float | None = Field(None, description="Inference time (ms).")
    metadata: dict[str, Any] = Field({}, description="Further columns of the dataset.")
    extra_data: dict[str, Any] | None = Field(None, description="Such as warnings.")
    created_at: datetime = Field(description="Time of the result (UTC).")


class TestImageResultListResponse(Schema):
    """A page of images, with the counts of the whole selection."""

    test_run_id: int = Field(description="Id of the test run.")
    revision: int = Field(description="Revision of the run.")
    total_count: int = Field(description="Number of selected images.")
    correct_count: int = Field(description="Number of selected images that are correct.")
    incorrect_count: int = Field(description="Number of selected images that are incorrect.")
    class_names: list[str] | None = Field(None, description="Names of the classes, by index.")
    images: list[TestImageResultResponse] = Field(description="Images on this page.")


class InferenceImageResponse(InferenceResultResponse):
    """The prediction for one image of an inference job."""

    status: Literal["ok", "failed"] = Field("ok", description="Status of the image.")
    error_code: str | None = Field(None, description="Reason of a failure.")
    error_message: str | None = Field(None, description="Explanation of a failure.")


class InferenceResultListResponse(Schema):
    """A page of the results of an inference job, in image order."""

    inference_job_id: int = Field(description="Id of the inference job.")
    total_count: int = Field(description="Number of selected images.")
    class_names: list[str] | None = Field(None, description="Names of the classes, by index.")
    results: list[InferenceImageResponse] = Field(description="Results on this page.")
