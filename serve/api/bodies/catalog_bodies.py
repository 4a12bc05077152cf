"""Bodies of datasets, tags, reviews, comparisons, exports and thresholds."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field

from snellen.serve.api.bodies.image_bodies import Confidence, Word
from snellen.serve.api.bodies.run_bodies import DatasetPath, Settings
from snellen.serve.api.schemas import Id, Schema

AnalysisStatus = Literal["pending", "running", "completed", "failed"]
ReviewStatus = Literal["wrong_label", "unclear", "fixed"]
ExportFormat = Literal[
    "parquet", "csv", "ndjson", "json", "coco", "yolo", "label-studio", "cvat", "zip"
]
DatasetName = Annotated[
    str, Field(min_length=1, max_length=200, pattern=r"^[^/\\:*?\x00]+$", description="Its name.")
]


class DatasetResponse(Schema):
    """A registered dataset."""

    name: str = Field(description="Name, accepted as dataset_path.")
    config: dict[str, Any] = Field(
        description="Keys of the section dataset; paths are relative to their root."
    )
    created_at: datetime = Field(description="Time of the registration (UTC).")


class DatasetListResponse(Schema):
    """All registered datasets."""

    total_count: int = Field(description="Number of datasets.")
    datasets: list[DatasetResponse] = Field(description="Datasets by name.")


class DatasetRequest(Schema):
    """A dataset to register."""

    name: DatasetName
    dataset_path: DatasetPath
    dataset: Settings = Field({}, description="Further keys of the section dataset.")


class ClassMapPreview(Schema):
    """How the classes of a dataset would be mapped to a checkpoint's."""

    mode: str | None = Field(None, description="name, subset, mapping or ids.")
    ids: dict[str, int | None] | None = Field(
        None, description="Class of the dataset -> index of the evaluation class."
    )
    notes: list[str] = Field([], description="Messages about the mapping.")
    code: str | None = Field(None, description="Code of the error if the classes do not fit.")
    problem: str | None = Field(None, description="Why the classes do not fit.")


class InspectionResponse(Schema):
    """Description of a dataset, before anything is run on it."""

    path: str = Field(description="Path relative to its root, or the name.")
    format: str = Field(description="Format, such as imagefolder or yolo.")
    split: str | None = Field(None, description="The split that would be used.")
    classes: list[str] | None = Field(None, description="Classes; null without labels.")
    images: int = Field(description="Number of images that were listed.")
    complete: bool = Field(description="All images were listed; else there are more.")
    class_counts: dict[str, int] = Field(
        {}, description="Listed images per class, if they have one."
    )
    report: dict[str, Any] = Field(description="What is used and passed over, with reasons.")
    notes: list[str] = Field([], description="Messages about the dataset.")
    class_map: ClassMapPreview | None = Field(None, description="With training_job_id.")


class TagRequest(Schema):
    """A tag to set."""

    name: Annotated[str, Field(min_length=1, max_length=200, description="Name of the tag.")]
    run_id: Id


class TagResponse(Schema):
    """A tag of a test run."""

    name: str = Field(description="Name of the tag.")
    run_id: int = Field(description="The test run that it points to.")


class TagListResponse(Schema):
    """All tags of test runs."""

    total_count: int = Field(description="Number of tags.")
    tags: list[TagResponse] = Field(description="Tags by name.")


class ReviewRequest(Schema):
    """A note on the ground truth of an image of a test run."""

    run_id: Id
    image_index: Annotated[int, Field(ge=0, le=2**31 - 1)]
    kind: Literal["image", "object", "box"] = "image"
    true_index: Annotated[int, Field(ge=0, le=100_000)] | None = Field(
        None, description="Index of the true object, for kind object."
    )
    box: (
        Annotated[
            list[Annotated[float, Field(allow_inf_nan=False)]], Field(min_length=4, max_length=4)
        ]
        | None
    ) = Field(None, description="[left, top, right, bottom] in pixels, for kind box.")
    status: ReviewStatus
    note: Annotated[str, Field(max_length=10_000)] | None = None
    author: Annotated[str, Field(max_length=200)] | None = None


class ReviewChange(Schema):
    """Changes of a review; absent fields stay as they are, and a note of null is deleted."""

    # A factory: the schema must not promise a default, as an absent status stays as it is.
    status: ReviewStatus = Field(
        default_factory=lambda: "unclear", description="State of the label."
    )
    note: Annotated[str, Field(max_length=10_000)] | None = None


class ReviewResponse(Schema):
    """A note on the ground truth; it outlives the runs of its dataset."""

    id: int = Field(description="Id of the review.")
    dataset: str = Field(description="Fingerprint of the dataset: sha256 of its image ids.")
    image_id: str = Field(description="Id of the image.")
    kind: Literal["image", "object", "box"] = Field(description="What the note is about.")
    true_index: int | None = Field(None, description="Index of the true object.")
    box: list[float] | None = Field(None, description="[left, top, right, bottom] in pixels.")
    status: ReviewStatus = Field(description="State of the label.")
    note: str | None = Field(None, description="Text of the note.")
    author: str | None = Field(None, description="Who wrote it.")
    created_at: datetime = Field(description="Time of the review (UTC).")


class ReviewListResponse(Schema):
    """A page of reviews, newest first."""

    total_count: int = Field(description="Number of reviews on all pages.")
    reviews: list[ReviewResponse] = Field(description="Reviews on this page.")


class ComparisonRequest(Schema):
    """Test runs to compare: the first one with each of the others."""

    runs: Annotated[list[Id], Field(min_length=2, max_length=20, description="Ids of test runs.")]
    tolerance: Annotated[float, Field(ge=0.0, le=1.0, allow_inf_nan=False)] = Field(
        0.0, description="Loss of a metric that is accepted."
    )
    group: Word | None = Field(None, description="Metadata column whose images are dependent.")
    seed: Annotated[int, Field(ge=0, le=2**31 - 1)] = Field(0, description="Seed of the draws.")
    slices: Annotated[list[Word], Field(max_length=20)] = Field(
        [], description="Columns, or image_size, object_size and object_count."
    )


class _AnalysisResponse(Schema):
    id: int = Field(description="Its id.")
    status: AnalysisStatus = Field(description="Its status.")
    error_code: str | None = Field(None, description="Code of a failure.")
    error_message: str | None = Field(None, description="Reason of a failure.")
    created_at: datetime = Field(description="Time of the request (UTC).")
    completed_at: datetime | None = Field(None, description="Time of the result (UTC).")


class ComparisonResponse(_AnalysisResponse):
    """A comparison; `result` is the document of `snellen compare --json`."""

    runs: list[int] = Field(description="Ids of the test runs.")
    result: dict[str, Any] | None = Field(None, description="Its document, once completed.")


class ExportRequest(Schema):
    """A format for the rows of a run, and conditions on them."""

    format: ExportFormat
    correct: bool | None = None
    min_confidence: Confidence | None = None
    status: Literal["ok", "failed"] | None = None
    true_class: Word | None = Field(None, description="Name of the true class.")
    images: (
        Annotated[
            list[Annotated[int, Field(ge=0, le=2**31 - 1)]], Field(min_length=1, max_length=100_000)
        ]
        | None
    ) = Field(None, description="Indices of the images in the run.")


class ExportResponse(_AnalysisResponse):
    """An export; its file is at `GET /inference/exports/{id}/file`."""

    run_kind: Literal["test_run", "inference_job"] = Field(description="Kind of the run.")
    run_id: int = Field(description="Id of the run.")
    format: str = Field(description="Format of the file.")
    file_name: str | None = Field(None, description="Name of the file, once completed.")
    result: dict[str, Any] | None = Field(None, description="Number of images, and notes.")


class ExportListResponse(Schema):
    """The exports of a run, newest first."""

    total_count: int = Field(description="Number of exports.")
    exports: list[ExportResponse] = Field(description="Exports, newest first.")


class ThresholdsResponse(Schema):
    """The metrics of a run at confidence thresholds, as `snellen threshold --json` prints them."""

    id: int = Field(description="Id of the test run.")
    name: str | None = Field(None, description="Name of the test run.")
    task_type: str = Field(description="Task of the model.")
    thresholds: list[dict[str, Any]] = Field(description="A row per threshold.")
    classes: dict[str, list[dict[str, Any]]] = Field(description="Rows by class, with per_class.")
    chosen: dict[str, Any] | None = Field(None, description="The threshold that a rule chooses.")
