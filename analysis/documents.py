"""The JSON documents of runs and jobs, printed by ``--json``; their keys are stable."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from snellen.analysis.reader import failures_of, open_results, unit_files
from snellen.metrics.errors.counts import BucketSummary, MistakeSummary
from snellen.metrics.errors.paging import InstancePage
from snellen.pipelines.config.stored import shown_config
from snellen.store.kinds import TEST_RUN
from snellen.store.parquet.results import Page
from snellen.store.sql.database import Database
from snellen.store.tags import tags_of
from snellen.store.views import AnyRun, InferenceJobView, RunView

_RUN_KEYS = (
    "id",
    "name",
    "status",
    "task_type",
    "metrics",
    "intervals",
    "per_class_metrics",
    "total_images",
    "scored_images",
    "failed_images",
    "dataset_report",
    "results_dir",
    "fingerprint",
)
_MORE_RUN_KEYS = (
    "primary_metric_name",
    "primary_metric_value",
    "training_job_id",
    "checkpoint_path",
    "dataset_path",
    "dataset_split",
    "results_of",
    "error_message",
)


def run_documents(db: Database, runs: Sequence[RunView]) -> list[dict[str, Any]]:
    """Return the documents of several runs, without files."""
    tags = tags_of(db, TEST_RUN, [run.id for run in runs])
    return [{**run_document(run), "tags": tags.get(run.id, [])} for run in runs]


def run_document(run: RunView, db: Database | None = None) -> dict[str, Any]:
    """Return the document of a run; with ``db`` also its files and the details of a single run."""
    document: dict[str, Any] = {key: getattr(run, key) for key in (*_RUN_KEYS, *_MORE_RUN_KEYS)}
    document |= _moments(run)
    if db is not None:
        document["tags"] = tags_of(db, TEST_RUN, [run.id]).get(run.id, [])
        document["files"] = [str(path) for path in unit_files(db, run)]
        document["failures"] = [asdict(reason) for reason in failures_of(db, run)]
        for key in (
            "details",
            "confusion_matrix",
            "class_names",
            "class_map",
            "resolved",
        ):
            document[key] = getattr(run, key)
        document["config"] = shown_config(run.config or {}) or None
    return document


def _moments(run: AnyRun) -> dict[str, str | None]:
    moments = {key: getattr(run, key) for key in ("created_at", "started_at", "completed_at")}
    return {key: moment.isoformat() if moment else None for key, moment in moments.items()}


_JOB_KEYS = (
    "id",
    "name",
    "status",
    "task_type",
    "inference_type",
    "input_data",
    "total_images",
    "scored_images",
    "failed_images",
    "total_inference_time_ms",
    "avg_inference_time_ms",
    "dataset_report",
    "results_dir",
    "fingerprint",
    "training_job_id",
    "checkpoint_path",
    "error_message",
)
RESULTS_SHOWN = 100
"""Maximum number of images of a job whose document contains its rows."""


def inference_document(job: InferenceJobView, db: Database | None = None) -> dict[str, Any]:
    """Return the document of an inference job; with ``db`` also its files and up to 100 rows."""
    document: dict[str, Any] = {key: getattr(job, key) for key in _JOB_KEYS} | _moments(job)
    if db is not None:
        document["files"] = [str(path) for path in unit_files(db, job)]
        pictures = sorted((Path(job.results_dir or "") / "explanations").glob("*.jpg"))
        if job.results_dir and pictures:
            document["explanations"] = [str(path) for path in pictures]
        document["failures"] = [asdict(reason) for reason in failures_of(db, job)]
        for key in ("class_names", "resolved"):
            document[key] = getattr(job, key)
        document["config"] = shown_config(job.config or {}) or None
        if document["files"] and (job.total_images or 0) <= RESULTS_SHOWN:
            results = open_results(db, job)
            document["results"] = results.page(results.lazy(), limit=RESULTS_SHOWN).rows
    return document


def predictions_document(document: dict[str, Any], page: Page) -> dict[str, Any]:
    """Return the document of a job with a page of its rows and the number of selected rows."""
    return {**document, "total": page.total, "results": page.rows}


def images_document(page: Page) -> dict[str, Any]:
    """Return a page of images with the counts of the whole selection."""
    return {
        "total": page.total,
        "correct": page.correct,
        "incorrect": page.incorrect,
        "images": page.rows,
    }


def errors_document(run: RunView, summary: BucketSummary | MistakeSummary) -> dict[str, Any]:
    """Return the document of the error analysis of a run; see the attributes of the summary."""
    return {"id": run.id, "name": run.name, "task_type": run.task_type, **asdict(summary)}


def instances_document(run: RunView, page: InstancePage, **asked: Any) -> dict[str, Any]:
    """Return a page of instances with the counts of the whole list, and its filters."""
    return {"id": run.id, "name": run.name, **asked, **asdict(page)}
