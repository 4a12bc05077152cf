"""The head of an inference job's page: what it predicts, how far it is, and what failed."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from snellen.metrics.classification.confusion import unique_names
from snellen.pipelines.tasks.registry import task_of
from snellen.serve.api.redaction import without_paths
from snellen.serve.api.runs.images import OpenedRun
from snellen.serve.api.state import State
from snellen.serve.ui.run_facts import RunFacts, duration_of, settings_of, source_of
from snellen.store.jobs import get_training_job
from snellen.store.views import InferenceJobView


@dataclass(frozen=True, slots=True)
class JobOverview(RunFacts):
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
    def is_recorded(self) -> bool:
        """Return True for a recorded request, which has no result files."""
        return self.run.is_recorded

    @property
    def seconds(self) -> float | None:
        """Return the duration of the job; a recorded request has none."""
        return None if self.is_recorded else duration_of(self.run)

    @property
    def images(self) -> int | None:
        """Return the number of images; of a job that has not started, those that were uploaded."""
        return self.run.total_images or (self.run.input_data or {}).get("num_images")

    @property
    def settings(self) -> str:
        """Return the minimum confidence, the device, the precision and the batch size."""
        least = ((self.run.config or {}).get("model") or {}).get("min_confidence")
        given = isinstance(least, float) and self.has_objects
        parts = [f"confidence ≥ {least:g}" if given else "", settings_of(self.run)]
        return ", ".join(part for part in parts if part)


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
        source=source_of(run, state.place.roots),
        message=without_paths(run.error_message) if run.error_message else "",
        failures=[] if opened is None else _failures(opened),
        passed_over=[*counts, *uploaded],
    )


def _failures(opened: OpenedRun) -> list[tuple[str, int]]:
    """Count the failed images by their error code."""
    failed = opened.results.lazy(["status", "error_code"]).filter(pl.col("status") == "failed")
    codes = failed.select(pl.col("error_code").fill_null("UNKNOWN")).collect()["error_code"]
    counted = codes.value_counts(sort=True, name="n")
    return list(zip(counted["error_code"].to_list(), counted["n"].to_list(), strict=True))
