"""The run tables: training jobs, test runs, inference jobs, per-image results and the ledger.

Times are UTC, numbers are finite, texts may have any length (see `snellen.store.sql.columns`). JSON
columns have the shapes of a result row. Deleting a training job deletes its runs and their images.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ForeignKey,
    Index,
    false,
    func,
    text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from snellen.store.sql.columns import CleanJson, CleanText, FiniteFloat, UtcDateTime, utc_now

STATUSES = ("pending", "running", "completed", "failed", "interrupted", "cancelled")
_STATUS_IN = "status IN ({})".format(", ".join(f"'{status}'" for status in STATUSES))

CURRENT_UNIT = text("superseded_by IS NULL")
"""Condition of the records of `RunUnit` that count."""


class Base(DeclarativeBase):
    """Declarative base that maps Python types to column types."""

    type_annotation_map = {  # noqa: RUF012 - SQLAlchemy reads a plain dict
        str: CleanText(),
        float: FiniteFloat(),
        datetime: UtcDateTime(),
        Any: CleanJson(),
    }


class Created:
    """Column of the time at which a row was made."""

    created_at: Mapped[datetime] = mapped_column(default=utc_now, server_default=func.now())


class _RunColumns(Created):
    """Columns that test runs and inference jobs share."""

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str | None]
    checkpoint_path: Mapped[str]
    status: Mapped[str] = mapped_column(default="pending")
    error_message: Mapped[str | None]
    task_type: Mapped[str]
    config: Mapped[Any | None]
    fingerprint: Mapped[Any | None]
    resolved: Mapped[Any | None]
    class_names: Mapped[Any | None]
    class_map: Mapped[Any | None]
    dataset_report: Mapped[Any | None]
    revision: Mapped[int] = mapped_column(default=0, server_default=text("0"))
    results_dir: Mapped[str | None]
    total_images: Mapped[int | None] = mapped_column(BigInteger, default=0)
    scored_images: Mapped[int | None] = mapped_column(BigInteger)
    failed_images: Mapped[int | None] = mapped_column(BigInteger)
    snellen_version: Mapped[str | None]
    lease_owner: Mapped[str | None]
    lease_token: Mapped[str | None]
    lease_heartbeat_at: Mapped[datetime | None]
    cancel_requested: Mapped[bool] = mapped_column(default=False, server_default=false())
    started_at: Mapped[datetime | None]
    completed_at: Mapped[datetime | None]


class _ImageColumns(Created):
    """Columns that the per-image rows of test runs and inference jobs share."""

    id: Mapped[int] = mapped_column(primary_key=True)
    image_name: Mapped[str]
    image_index: Mapped[int | None] = mapped_column(BigInteger)
    status: Mapped[str | None]
    error_stage: Mapped[str | None]
    error_code: Mapped[str | None]
    error_message: Mapped[str | None]
    predicted_label: Mapped[str | None]
    predicted_label_id: Mapped[int | None]
    confidence: Mapped[float | None]
    top5_predictions: Mapped[Any | None]
    predicted_boxes: Mapped[Any | None]
    predicted_mask_path: Mapped[str | None]
    predicted_keypoints: Mapped[Any | None]
    inference_time_ms: Mapped[float | None]
    extra_data: Mapped[Any | None]


class TrainingJob(Created, Base):
    """A trained model: an output directory with its checkpoints."""

    __tablename__ = "training_jobs"
    __table_args__ = ({"sqlite_autoincrement": True},)

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    framework: Mapped[str]
    task_type: Mapped[str]
    model_name: Mapped[str | None]
    output_dir: Mapped[str | None]
    class_names: Mapped[Any | None]
    num_classes: Mapped[int | None]
    config: Mapped[Any | None]

    test_runs: Mapped[list[TestRun]] = relationship(
        back_populates="training_job", cascade="all, delete-orphan", passive_deletes=True
    )
    inference_jobs: Mapped[list[InferenceJob]] = relationship(
        back_populates="training_job", cascade="all, delete-orphan", passive_deletes=True
    )
    validation_results: Mapped[list[ValidationResult]] = relationship(
        back_populates="training_job", cascade="all, delete-orphan", passive_deletes=True
    )


class ValidationResult(Created, Base):
    """Validation metrics of one training epoch; ``epoch`` is the checkpoint's own numbering."""

    __tablename__ = "validation_results"
    __table_args__ = (
        Index("idx_validation_results_training_job_id", "training_job_id"),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    training_job_id: Mapped[int] = mapped_column(ForeignKey("training_jobs.id", ondelete="CASCADE"))
    epoch: Mapped[int | None]
    primary_metric_name: Mapped[str | None]
    primary_metric_value: Mapped[float | None]
    overall_loss: Mapped[float | None]
    metrics: Mapped[Any | None]

    training_job: Mapped[TrainingJob] = relationship(back_populates="validation_results")


class TestRun(_RunColumns, Base):
    """One evaluation of a checkpoint on labelled images."""

    __test__ = False  # keeps pytest from collecting the class by its name
    __tablename__ = "test_runs"
    __table_args__ = (
        CheckConstraint(_STATUS_IN, name="ck_test_runs_status"),
        Index("idx_test_runs_training_job_id", "training_job_id"),
        Index("idx_test_runs_name", "name"),
        {"sqlite_autoincrement": True},
    )

    training_job_id: Mapped[int] = mapped_column(ForeignKey("training_jobs.id", ondelete="CASCADE"))
    dataset_path: Mapped[str]
    dataset_split: Mapped[str | None] = mapped_column(default="test", server_default="test")
    primary_metric_name: Mapped[str | None]
    primary_metric_value: Mapped[float | None]
    overall_loss: Mapped[float | None]
    metrics: Mapped[Any | None]
    intervals: Mapped[Any | None]
    details: Mapped[Any | None]
    per_class_metrics: Mapped[Any | None]
    confusion_matrix: Mapped[Any | None]
    inference_time_ms: Mapped[float | None]
    results_of: Mapped[int | None] = mapped_column(ForeignKey("test_runs.id", ondelete="SET NULL"))

    training_job: Mapped[TrainingJob] = relationship(back_populates="test_runs")
    image_results: Mapped[list[TestImageResult]] = relationship(
        back_populates="test_run", cascade="all, delete-orphan", passive_deletes=True
    )


class TestImageResult(_ImageColumns, Base):
    """One image of a test run; inserted when a run up to ``output.sql_rows_limit`` completes."""

    __test__ = False
    __tablename__ = "test_image_results"
    __table_args__ = (
        Index("idx_test_image_results_test_run_id", "test_run_id"),
        Index("idx_test_image_results_true_label_id", "true_label_id"),
        Index("idx_test_image_results_predicted_label_id", "predicted_label_id"),
        Index("idx_test_image_results_is_correct", "is_correct"),
        {"sqlite_autoincrement": True},
    )

    test_run_id: Mapped[int] = mapped_column(ForeignKey("test_runs.id", ondelete="CASCADE"))
    image_path: Mapped[str | None]
    true_label: Mapped[str | None]
    true_label_id: Mapped[int | None]
    true_boxes: Mapped[Any | None]
    true_mask_path: Mapped[str | None]
    true_keypoints: Mapped[Any | None]
    is_correct: Mapped[bool | None]
    iou: Mapped[float | None]
    oks: Mapped[float | None]

    test_run: Mapped[TestRun] = relationship(back_populates="image_results")


class InferenceJob(_RunColumns, Base):
    """One prediction of a checkpoint on images without labels."""

    __tablename__ = "inference_jobs"
    __table_args__ = (
        CheckConstraint(_STATUS_IN, name="ck_inference_jobs_status"),
        Index("idx_inference_jobs_training_job_id", "training_job_id"),
        Index("idx_inference_jobs_name", "name"),
        {"sqlite_autoincrement": True},
    )

    training_job_id: Mapped[int] = mapped_column(ForeignKey("training_jobs.id", ondelete="CASCADE"))
    inference_type: Mapped[str]
    input_data: Mapped[Any | None]
    total_inference_time_ms: Mapped[float | None]
    avg_inference_time_ms: Mapped[float | None]

    training_job: Mapped[TrainingJob] = relationship(back_populates="inference_jobs")
    results: Mapped[list[InferenceResultRow]] = relationship(
        back_populates="inference_job", cascade="all, delete-orphan", passive_deletes=True
    )


class InferenceResultRow(_ImageColumns, Base):
    """One image of an inference job."""

    __tablename__ = "inference_results"
    __table_args__ = (
        Index("idx_inference_results_job_id", "inference_job_id"),
        {"sqlite_autoincrement": True},
    )

    inference_job_id: Mapped[int] = mapped_column(
        ForeignKey("inference_jobs.id", ondelete="CASCADE")
    )
    image_path: Mapped[str]
    preprocessing_time_ms: Mapped[float | None]
    postprocessing_time_ms: Mapped[float | None]
    visualization_path: Mapped[str | None]

    inference_job: Mapped[InferenceJob] = relationship(back_populates="results")


class RunUnit(Base):
    """One committed unit of a run; a unit without a current row does not count as done.

    ``superseded_by`` is the id of the row that replaced this one; the row is current without it.
    """

    __tablename__ = "run_units"
    __table_args__ = (
        Index(
            "uq_run_units_current",
            *("run_kind", "run_id", "unit_id"),
            unique=True,
            sqlite_where=CURRENT_UNIT,
            postgresql_where=CURRENT_UNIT,
        ),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    run_kind: Mapped[str]
    run_id: Mapped[int]
    unit_id: Mapped[int] = mapped_column(BigInteger)
    start: Mapped[int] = mapped_column(BigInteger)
    stop: Mapped[int] = mapped_column(BigInteger)
    file: Mapped[str]
    sha256: Mapped[str]
    rows: Mapped[int] = mapped_column(BigInteger)
    failed: Mapped[int] = mapped_column(BigInteger)
    attempt: Mapped[str]
    worker: Mapped[str]
    timings: Mapped[Any | None]
    counts: Mapped[Any | None]
    superseded_by: Mapped[int | None]
    committed_at: Mapped[datetime] = mapped_column(default=utc_now, server_default=func.now())
