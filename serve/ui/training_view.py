"""Training jobs as their pages show them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from snellen.adapters.types import TaskType
from snellen.pipelines.models.training_jobs import describe_job
from snellen.serve.api.runs.run_responses import shown_path
from snellen.serve.api.state import State
from snellen.serve.ui.epoch_curves import EpochChart, best_epoch, epoch_charts
from snellen.serve.ui.run_rows import RunRow, make_row
from snellen.store.jobs import list_training_jobs, validation_results
from snellen.store.kinds import INFERENCE_JOB, TEST_RUN
from snellen.store.run_listing import ListQuery, count_runs, list_runs
from snellen.store.views import JobView, ValidationView

PAGE_ROWS = 50
_RECENT = 10


@dataclass(frozen=True, slots=True)
class JobFilters:
    """The query of the list of training jobs."""

    text: str = ""
    task: str = ""
    page: int = 1

    def address(self, page: int) -> str:
        """Return the query of a page of the list; empty for defaults."""
        values = {"text": self.text, "task": self.task, "page": page if page > 1 else ""}
        given = {name: value for name, value in values.items() if value}
        return f"?{urlencode(given)}" if given else ""


@dataclass(frozen=True, slots=True)
class TrainingRow:
    """A training job in the list.

    Attributes:
        best: its best epoch; None if its log has no primary metric.
        epochs: number of epochs in its log.
        runs: number of test runs and inference jobs on its checkpoints.
    """

    job: JobView
    best: ValidationView | None
    epochs: int
    runs: int

    @property
    def task(self) -> str:
        """Return the task in words."""
        return task_words(self.job.task_type)

    @property
    def classes(self) -> int | None:
        """Return the number of classes, if it is known."""
        names = self.job.class_names
        return len(names) if names else self.job.num_classes


@dataclass(frozen=True, slots=True)
class TrainingList:
    """One page of the list."""

    filters: JobFilters
    rows: list[TrainingRow]
    total: int
    exists: bool

    @property
    def pages(self) -> int:
        """Return the number of pages."""
        return max(1, -(-self.total // PAGE_ROWS))

    @property
    def tasks(self) -> list[tuple[str, str]]:
        """Return all tasks: value and label."""
        return [(task.value, task_words(task.value)) for task in TaskType]


@dataclass(frozen=True, slots=True)
class TrainingPage:
    """A training job with all details.

    Attributes:
        source: its directory or file, relative to a root of the service.
        checkpoints: name, epoch, file and metric of each.
        missing: its directory does not exist any more.
        recent: the newest runs on its checkpoints.
    """

    row: TrainingRow
    source: str
    checkpoints: list[dict[str, Any]]
    missing: bool
    results: list[ValidationView]
    charts: list[EpochChart]
    recent: list[RunRow]
    kinds: dict[str, int]


def task_words(task: str) -> str:
    """Return a task in words."""
    return task.replace("_", " ").capitalize()


def read_jobs(state: State, filters: JobFilters) -> TrainingList:
    """Read one page of the training jobs, newest first."""
    every = list_training_jobs(state.db)
    text = filters.text.lower()
    found = [
        job
        for job in every
        if filters.task in ("", job.task_type)
        and text in f"{job.name} {job.model_name or ''} {job.framework}".lower()
    ]
    page = min(max(filters.page, 1), max(1, -(-len(found) // PAGE_ROWS)))
    shown = found[(page - 1) * PAGE_ROWS : page * PAGE_ROWS]
    rows = [_row(state, job, validation_results(state.db, job.id)) for job in shown]
    used = JobFilters(filters.text, filters.task, page)
    return TrainingList(used, rows, len(found), exists=bool(every))


def read_job(state: State, job: JobView) -> TrainingPage:
    """Read a training job; its checkpoints are those that its directory has now."""
    results = validation_results(state.db, job.id)
    query = ListQuery(training_job_id=job.id)
    entries = list_runs(state.db, query, limit=_RECENT)
    checkpoints = describe_job(job)["checkpoints"]
    place = Path(job.output_dir or "")
    return TrainingPage(
        row=_row(state, job, results),
        source=shown_path(job.output_dir or "", state.place.roots),
        checkpoints=[one | {"file": Path(one["path"]).name} for one in checkpoints],
        missing=place.is_absolute() and not place.exists(),  # a model may need no files
        results=list(results),
        charts=epoch_charts(results),
        recent=[make_row(entry, state.place.roots, state.progress) for entry in entries],
        kinds=count_runs(state.db, query),
    )


def _row(state: State, job: JobView, results: Sequence[ValidationView]) -> TrainingRow:
    counts = count_runs(state.db, ListQuery(training_job_id=job.id))
    runs = counts[TEST_RUN] + counts[INFERENCE_JOB]
    return TrainingRow(job, best_epoch(results), len(results), runs)
