"""Frozen views of database rows, not connected to a session.

JSON columns are dicts and lists, times are aware UTC.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from functools import cache
from typing import Any, Self

IMPORTED = "imported"
"""Adapter of runs whose predictions were imported."""


@dataclass(frozen=True)
class _View:
    @classmethod
    def of(cls, row: Mapping[Any, Any]) -> Self:
        """Build the view from a row's mapping; columns that were not read are None."""
        return cls(**{name: row.get(name) for name in cls.columns()})

    @classmethod
    @cache
    def columns(cls) -> tuple[str, ...]:
        """Return the names of the columns, in order."""
        return tuple(field.name for field in fields(cls))

    def as_dict(self) -> dict[str, Any]:
        """Return the columns by name; JSON values are shared, not copied."""
        return {name: getattr(self, name) for name in self.columns()}


@dataclass(frozen=True)
class JobView(_View):
    """A row of ``training_jobs``."""

    id: int
    name: str
    framework: str
    task_type: str
    model_name: str | None
    output_dir: str | None
    class_names: list[str] | None
    num_classes: int | None
    config: dict[str, Any] | None
    created_at: datetime


@dataclass(frozen=True)
class ValidationView(_View):
    """A row of ``validation_results``; ``epoch`` is the checkpoint's own numbering."""

    id: int
    training_job_id: int
    epoch: int | None
    primary_metric_name: str | None
    primary_metric_value: float | None
    overall_loss: float | None
    metrics: dict[str, Any] | None
    created_at: datetime


@dataclass(frozen=True)
class DatasetView(_View):
    """A row of ``datasets``; ``config`` has the keys of a ``dataset`` section that are set."""

    id: int
    name: str
    config: dict[str, Any]
    fingerprint: str | None
    created_at: datetime


@dataclass(frozen=True)
class AnyRun(_View):
    """The columns that test runs and inference jobs share."""

    id: int
    training_job_id: int
    name: str | None
    checkpoint_path: str
    task_type: str
    status: str
    error_message: str | None
    config: dict[str, Any] | None
    fingerprint: dict[str, Any] | None
    resolved: dict[str, Any] | None
    class_names: list[str] | None
    class_map: Any
    dataset_report: dict[str, Any] | None
    revision: int
    results_dir: str | None
    total_images: int | None
    scored_images: int | None
    failed_images: int | None
    snellen_version: str | None
    lease_owner: str | None
    lease_token: str | None
    lease_heartbeat_at: datetime | None
    cancel_requested: bool
    created_at: datetime
    started_at: datetime | None
    completed_at: datetime | None


@dataclass(frozen=True)
class RunView(AnyRun):
    """A row of ``test_runs``. ``inference_time_ms`` is milliseconds."""

    dataset_path: str
    dataset_split: str | None
    primary_metric_name: str | None
    primary_metric_value: float | None
    overall_loss: float | None
    metrics: dict[str, Any] | None
    intervals: dict[str, Any] | None
    details: dict[str, Any] | None
    per_class_metrics: dict[str, Any] | None
    confusion_matrix: Any
    inference_time_ms: float | None
    results_of: int | None

    @property
    def is_imported(self) -> bool:
        """Return True for predictions of another program: no model of ours has run."""
        return ((self.config or {}).get("model") or {}).get("adapter") == IMPORTED


@dataclass(frozen=True)
class InferenceJobView(AnyRun):
    """A row of ``inference_jobs``. Times are milliseconds."""

    inference_type: str
    input_data: dict[str, Any] | None
    total_inference_time_ms: float | None
    avg_inference_time_ms: float | None

    @property
    def is_recorded(self) -> bool:
        """Return True for a recorded request of the service: it has no files, and no image."""
        return "image_name" in (self.input_data or {})
