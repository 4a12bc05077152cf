"""Bodies of test runs and inference jobs."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field

from snellen.serve.api.job_selection import SelectsJob
from snellen.serve.api.schemas import AnyCheckpointName, Schema

Status = Literal["pending", "running", "completed", "failed", "interrupted", "cancelled"]
RunName = Annotated[str, Field(min_length=1, max_length=200, description="Name of the run.")]
DatasetPath = Annotated[
    str,
    Field(
        min_length=1,
        max_length=4096,
        description="Name of a registered dataset; or a path, relative to one of the configured "
        "roots or absolute inside one.",
    ),
]
Settings = Annotated[dict[str, Any], Field(max_length=100)]


class _RunRequest(SelectsJob):
    checkpoint: AnyCheckpointName = "best"
    dataset_path: DatasetPath
    name: RunName | None = None
    dataset: Settings = Field(
        {}, description="Further keys of the section dataset of a configuration, such as format."
    )
    model: Settings = Field({}, description="Keys of the section model, such as imgsz.")
    preprocess: Settings = Field({}, description="Keys of the section preprocess.")
    run: Settings = Field({}, description="Keys of the section run, such as batch_size.")


class TestRunRequest(_RunRequest):
    """A test run to submit. The sections have the keys of a configuration of `snellen eval`."""

    dataset_split: Annotated[str, Field(min_length=1, max_length=200)] | None = Field(
        None, description="Split of the dataset; default: test if it exists, else val."
    )
    class_map: Literal["auto", "subset", "ids"] | dict[str, str | None] = Field(
        "auto", description="How the classes of the dataset are mapped to the checkpoint's."
    )
    metrics: Settings = Field({}, description="Keys of the section metrics of a configuration.")


class DatasetInferenceRequest(_RunRequest):
    """An inference job for a whole folder, manifest, list or shards of images."""

    visualize: Literal["none", "failed", "all"] | Annotated[int, Field(ge=1, le=100_000)] = Field(
        "none", description="Annotated copies of images: none, failed, all, or a number."
    )


class ResumeRequest(Schema):
    """How to resume a run."""

    retry_failed: bool | Annotated[list[str], Field(max_length=50)] = Field(
        False, description="Also score failed images again: all, or those with these error codes."
    )


class _RunResponse(Schema):
    id: int = Field(description="Id of the run.")
    name: str | None = Field(None, description="Name of the run.")
    tags: list[str] = Field([], description="Tags that point to the run.")
    training_job_id: int = Field(description="Id of the training job.")
    checkpoint_path: str = Field(
        description="Checkpoint file, relative to the directory of the training job."
    )
    status: Status = Field(description="Status of the run.")
    queued: bool = Field(False, description="The run waits for a worker, or a worker executes it.")
    cancel_requested: bool = Field(False, description="The run is asked to stop.")
    error_message: str | None = Field(None, description="Reason of a failure.")
    task_type: str = Field(description="Task of the model, such as object_detection.")
    class_names: list[str] | None = Field(None, description="Names of the classes, by index.")
    total_images: int = Field(description="Number of images.")
    scored_images: int | None = Field(None, description="Number of images with a result.")
    failed_images: int | None = Field(None, description="Number of failed images.")
    revision: int = Field(0, description="Rises when failed images are scored again.")
    dataset_report: dict[str, Any] | None = Field(
        None, description="Files and annotations that are used, and those that are not, by reason."
    )
    created_at: datetime = Field(description="Time of the submission (UTC).")
    started_at: datetime | None = Field(None, description="Start of the execution (UTC).")
    completed_at: datetime | None = Field(None, description="End of the execution (UTC).")


class TestRunResponse(_RunResponse):
    """A test run. In lists, `per_class_metrics` and `confusion_matrix` are null."""

    dataset_path: str = Field(
        description="Dataset, relative to its root; the last part of its path outside of the roots."
    )
    dataset_split: str | None = Field(None, description="Split of the dataset.")
    primary_metric_name: str | None = Field(None, description="Key of the primary metric.")
    primary_metric_value: float | None = Field(None, description="Value of the primary metric.")
    overall_loss: float | None = Field(None, description="Mean cross-entropy.")
    metrics: dict[str, Any] | None = Field(None, description="Metrics by key.")
    intervals: dict[str, Any] | None = Field(None, description="[low, high] of metrics, by key.")
    per_class_metrics: dict[str, Any] | None = Field(None, description="Metrics by class.")
    confusion_matrix: list[list[int]] | dict[str, Any] | None = Field(
        None,
        description="Rows: true classes, columns: predicted classes; sparse above 1,000 classes.",
    )
    inference_time_ms: float | None = Field(None, description="Mean inference time per image (ms).")
    results_of: int | None = Field(None, description="Run whose files a rescored run reads.")


class TestRunListResponse(Schema):
    """A page of test runs, newest first."""

    training_job_id: int | None = Field(None, description="Training job of the list, if of one.")
    total_count: int = Field(description="Number of test runs on all pages.")
    runs: list[TestRunResponse] = Field(description="Test runs on this page.")


class InferenceJobResponse(_RunResponse):
    """An inference job."""

    inference_type: str = Field(description="single, batch or dataset.")
    total_inference_time_ms: float | None = Field(
        None, description="Sum of the inference times (ms)."
    )
    avg_inference_time_ms: float | None = Field(
        None, description="Mean inference time per image (ms)."
    )


class InferenceJobListResponse(Schema):
    """A page of inference jobs, newest first."""

    total_count: int = Field(description="Number of inference jobs on all pages.")
    jobs: list[InferenceJobResponse] = Field(description="Inference jobs on this page.")


class ProgressResponse(Schema):
    """Progress of a run: the data of an event."""

    status: Status = Field(description="Status of the run.")
    total_images: int = Field(description="Number of images; 0 until they are listed.")
    done_images: int = Field(description="Number of committed images, failed ones included.")
    failed_images: int = Field(description="Number of failed images.")
    images_per_second: float | None = Field(None, description="Rate of the last seconds.")
    seconds_left: float | None = Field(None, description="Estimated time left (s).")
    metric_name: str | None = Field(None, description="Key of the running metric.")
    metric_value: float | None = Field(None, description="Metric of the images so far.")
    error_message: str | None = Field(None, description="Reason of a failure.")
