"""The head of an inference job's page: what it predicts, how far it is, and what failed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

import polars as pl

from snellen.metrics.classification.confusion import unique_names
from snellen.pipelines.tasks.registry import task_of
from snellen.serve.api.redaction import without_paths
from snellen.serve.api.runs.images import OpenedRun
from snellen.serve.api.runs.run_responses import shown_path
from snellen.serve.api.state import State
from snellen.store.jobs import get_training_job
from snellen.store.views import InferenceJobView

_WORDS = {"batch": "uploaded images", "single": "one uploaded image"}
"""Inputs without a path in words, by type of inference."""


@dataclass(frozen=True, slots=True)
class JobOverview:
    """An inference job for the template.

    Attributes:
        run: its row.
        names: K unique class names.
        has_objects: the task predicts objects.
        job: name of its training job.
        source: the images.
        message: why the job stopped, without paths of the server.
        failures: error code and number of failed images, the most frequent first.
        passed_over: reason and number of the files that are no images of the job.
    """

    run: InferenceJobView
    names: list[str]
    has_objects: bool
    job: str
    source: str
    message: str
    failures: list[tuple[str, int]]
    passed_over: list[tuple[str, int]]

    @property
    def title(self) -> str:
        """Return the name of the job."""
        return self.run.name or f"inference job {self.run.id}"

    @property
    def path(self) -> str:
        """Return the path of the page."""
        return job_path(self.run)

    @property
    def is_live(self) -> bool:
        """Return True if the job changes by itself."""
        return self.run.status in ("pending", "running")

    @property
    def is_completed(self) -> bool:
        """Return True if the job can be exported."""
        return self.run.status == "completed"

    @property
    def is_recorded(self) -> bool:
        """Return True for a recorded request, which has no result files."""
        return self.run.inference_type == "single"

    @property
    def checkpoint(self) -> str:
        """Return the checkpoint's file name and its epoch, if it is known."""
        epoch = (self.run.resolved or {}).get("epoch")
        name = PurePosixPath(self.run.checkpoint_path).name
        return name if epoch is None else f"{name} · epoch {epoch}"

    @property
    def seconds(self) -> float | None:
        """Return the duration of the job."""
        run = self.run
        if run.started_at is None or run.completed_at is None or self.is_recorded:
            return None
        return (run.completed_at - run.started_at).total_seconds()

    @property
    def rate(self) -> float | None:
        """Return images per second."""
        done = (self.run.scored_images or 0) + (self.run.failed_images or 0)
        return done / self.seconds if self.seconds else None

    @property
    def images(self) -> int | None:
        """Return the number of images; of a job that has not started, those that were uploaded."""
        return self.run.total_images or (self.run.input_data or {}).get("num_images")

    @property
    def settings(self) -> str:
        """Return the minimum confidence, the device, the precision and the batch size."""
        resolved, model = self.run.resolved or {}, (self.run.config or {}).get("model") or {}
        least, batch = model.get("min_confidence"), resolved.get("batch_size")
        parts = [
            f"confidence ≥ {least:g}" if isinstance(least, float) and self.has_objects else None,
            *(resolved.get("device"), resolved.get("precision"), batch and f"batch {batch}"),
        ]
        return ", ".join(str(part) for part in parts if part)


def job_path(run: InferenceJobView) -> str:
    """Return the path of an inference job's page."""
    return f"/inference-jobs/{run.id}"


def job_names(run: InferenceJobView) -> list[str]:
    """Return the unique names of a job's classes."""
    return unique_names(run.class_names or ())


def read_overview(state: State, run: InferenceJobView, opened: OpenedRun | None) -> JobOverview:
    """Describe an inference job; ``opened`` None has no rows yet."""
    passed = (run.dataset_report or {}).get("passed_over") or {}
    counts = [(reason, one["count"]) for reason, one in passed.items()]
    uploaded = ((run.input_data or {}).get("passed_over") or {}).items()
    return JobOverview(
        run=run,
        names=job_names(run),
        has_objects=task_of(run.task_type).has_operating_point,
        job=get_training_job(state.db, run.training_job_id).name,
        source=_source(run, state.place.roots),
        message=without_paths(run.error_message) if run.error_message else "",
        failures=[] if opened is None else _failures(opened),
        passed_over=[*counts, *uploaded],
    )


def _source(run: InferenceJobView, roots: Sequence[str]) -> str:
    given = run.input_data or {}
    path = given.get("dataset_path") or given.get("path")
    if path:
        return shown_path(str(path), tuple(roots))
    if run.inference_type == "single":
        return str(given.get("image_name") or _WORDS["single"])
    return _WORDS.get(run.inference_type, run.inference_type)


def _failures(opened: OpenedRun) -> list[tuple[str, int]]:
    """Count the failed images by their error code."""
    failed = opened.results.lazy(["status", "error_code"]).filter(pl.col("status") == "failed")
    codes = failed.select(pl.col("error_code").fill_null("UNKNOWN")).collect()["error_code"]
    counted = codes.value_counts(sort=True, name="n")
    return list(zip(counted["error_code"].to_list(), counted["n"].to_list(), strict=True))
