"""Rows of the list of runs, as the pages show them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import PurePosixPath
from typing import Any

from snellen.pipelines.runs.evaluation import EVALUATION
from snellen.pipelines.runs.kinds import RunKind
from snellen.pipelines.runs.prediction import PREDICTION
from snellen.serve.api.bodies.run_bodies import ProgressResponse
from snellen.serve.api.redaction import without_paths
from snellen.serve.api.runs.progress import Progress
from snellen.serve.api.runs.run_responses import shown_path
from snellen.serve.ui.formats import count, metric
from snellen.serve.ui.run_facts import duration_of, source_of
from snellen.store.kinds import TEST_RUN
from snellen.store.run_listing import ListedRun
from snellen.store.views import AnyRun, InferenceJobView, RunView

KINDS: dict[str, RunKind] = {"t": EVALUATION, "j": PREDICTION}
"""Kinds of run by the first letter of the anchor of a row."""
_RESUMABLE = ("failed", "interrupted", "cancelled")


@dataclass(frozen=True, slots=True)
class RunRow:
    """One row: texts and numbers, and what can be done with the run.

    Attributes:
        anchor: ``t`` (test run) or ``j`` (inference job), and the id.
        source: the images: dataset and split, or the input of an inference job.
        dataset_key: equal for test runs on the same images.
        value, low, high: primary metric and its 95 % interval; None where there is none.
        done: images with a row, of ``total``.
        rate: images per second, of a running run over the last seconds.
        left: seconds left.
        kept: what a stopped run has, and why it stopped.
    """

    anchor: str
    id: int
    kind: str
    name: str
    source: str
    status: str
    task: str
    job: str
    checkpoint: str
    dataset_key: str
    total: int
    failed: int
    value: float | None
    low: float | None
    high: float | None
    metric_name: str
    outcome: str
    done: int
    rate: float | None
    left: float | None
    seconds: float | None
    started: datetime
    metric: str
    kept: str
    waiting: str

    @property
    def is_test_run(self) -> bool:
        """Return True for a test run, False for an inference job."""
        return self.kind == TEST_RUN

    @property
    def kind_label(self) -> str:
        """Return the kind in words."""
        return "Test run" if self.is_test_run else "Inference job"

    @property
    def kind_icon(self) -> str:
        """Return the icon of the kind."""
        return "chart" if self.is_test_run else "image"

    @property
    def path(self) -> str:
        """Return the path of the run's page."""
        return f"/{'runs' if self.is_test_run else 'inference-jobs'}/{self.id}"

    @property
    def failed_path(self) -> str:
        """Return the path of its failed images."""
        return f"{self.path}?status=failed#images"

    @property
    def share(self) -> str:
        """Return the share that is done: ``34 %``."""
        return f"{100 * self.done // max(self.total, 1)} %"

    @property
    def is_live(self) -> bool:
        """Return True if the row changes by itself."""
        return self.status in ("running", "pending")

    @property
    def can_stop(self) -> bool:
        """Return True if the run can be cancelled."""
        return self.is_live

    @property
    def can_resume(self) -> bool:
        """Return True if the run can be resumed."""
        return self.status in _RESUMABLE

    @property
    def comparable(self) -> bool:
        """Return True if the run can be compared with another one."""
        return self.is_test_run and self.status == "completed"


def make_row(entry: ListedRun, roots: tuple[str, ...], progress: Progress) -> RunRow:
    """Describe a run or job; the progress of one that is not completed is read from the ledger."""
    run, letter = entry.run, "t" if entry.kind == TEST_RUN else "j"
    completed = run.status == "completed"
    now = None if completed else progress.of(KINDS[letter], run.id)
    seconds = duration_of(run)
    scored = (run.scored_images or 0) + (run.failed_images or 0)
    return RunRow(
        anchor=f"{letter}{run.id}",
        id=run.id,
        kind=entry.kind,
        name=run.name or f"run {run.id}",
        source=_source(run, roots),
        status=run.status,
        task=run.task_type.replace("_", " ").capitalize(),
        job=entry.job_name,
        checkpoint=PurePosixPath(run.checkpoint_path).name,
        dataset_key=str((run.fingerprint or {}).get("manifest_hash") or ""),
        total=run.total_images or 0,
        failed=(run.failed_images or 0) if now is None else now.failed_images,
        **_result(run),
        done=scored if now is None else now.done_images,
        rate=(scored / seconds if completed and seconds else None)
        if now is None
        else now.images_per_second,
        left=None if now is None else now.seconds_left,
        seconds=seconds,
        started=run.started_at or run.created_at,
        metric=_running_metric(now),
        kept=_kept(run, now),
        waiting="Stopping" if run.cancel_requested else "Waiting for a worker",
    )


def _result(run: AnyRun) -> dict[str, Any]:
    if not isinstance(run, RunView):
        return {"value": None, "low": None, "high": None, "metric_name": "", "outcome": _done(run)}
    name = run.primary_metric_name or ""
    low, high = (run.intervals or {}).get(name) or (None, None)
    return {
        "value": run.primary_metric_value,
        "low": low,
        "high": high,
        "metric_name": name,
        "outcome": f"no metric: {'no ground truth' if run.scored_images else 'nothing was scored'}",
    }


def _done(run: AnyRun) -> str:
    return f"{count(run.scored_images)} images predicted"


def _source(run: AnyRun, roots: tuple[str, ...]) -> str:
    if isinstance(run, RunView):
        split = f" · {run.dataset_split}" if run.dataset_split else ""
        return shown_path(run.dataset_path, roots) + split
    assert isinstance(run, InferenceJobView)
    return source_of(run, roots)


def _running_metric(now: ProgressResponse | None) -> str:
    if now is None or now.metric_name is None:
        return ""
    return f"{now.metric_name} {metric(now.metric_value)}"


def _kept(run: AnyRun, now: ProgressResponse | None) -> str:
    if now is None:
        return ""
    kept = f"{count(now.done_images)} of {count(run.total_images)} images are kept"
    return f"{kept}: {without_paths(run.error_message)}" if run.error_message else kept
