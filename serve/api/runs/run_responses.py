"""Responses of runs, from their rows: without paths of the server."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath
from typing import Any

from snellen.serve.api.allowed_roots import below_roots
from snellen.serve.api.bodies.run_bodies import InferenceJobResponse, TestRunResponse
from snellen.serve.api.redaction import without_paths
from snellen.serve.api.runs.request_settings import Place
from snellen.store.jobs import get_training_job
from snellen.store.kinds import INFERENCE_JOB, TEST_RUN
from snellen.store.service.job_queue import queued_jobs
from snellen.store.tags import tags_of
from snellen.store.views import AnyRun, InferenceJobView, RunView

_SHARED = (
    "id",
    "name",
    "training_job_id",
    "status",
    "cancel_requested",
    "task_type",
    "class_names",
    "scored_images",
    "failed_images",
    "revision",
    "created_at",
    "started_at",
    "completed_at",
)
_OF_TEST_RUN = (
    "dataset_split",
    "primary_metric_name",
    "primary_metric_value",
    "overall_loss",
    "metrics",
    "intervals",
    "per_class_metrics",
    "confusion_matrix",
    "inference_time_ms",
    "results_of",
)
_NAMES = frozenset({"class", "slice", "cells", "found_slices", "image_id"})
"""Keys whose texts are names from the data, such as the class ``/m/01g317`` of Open Images."""
_OF_JOB = ("inference_type", "total_inference_time_ms", "avg_inference_time_ms")


class Describer:
    """Describes rows as responses, with what belongs to them: tags, queue, training jobs."""

    def __init__(self, place: Place, kind: str, runs: Iterable[AnyRun]) -> None:
        """Read what belongs to some runs of a kind."""
        self._place = place
        self._runs = list(runs)
        self._tags = tags_of(place.db, kind, [run.id for run in self._runs])
        self._queued = queued_jobs(place.db, kind)
        jobs = {run.training_job_id for run in self._runs}
        self._folders = {job: get_training_job(place.db, job).output_dir for job in jobs}

    def _shared(self, run: AnyRun) -> dict[str, Any]:
        message = run.error_message
        return {
            **{key: getattr(run, key) for key in _SHARED},
            "tags": self._tags.get(run.id, []),
            "queued": run.id in self._queued,
            "checkpoint_path": relative_checkpoint(
                run.checkpoint_path, self._folders[run.training_job_id]
            ),
            "error_message": None if message is None else without_paths(message),
            "total_images": run.total_images or 0,
            "dataset_report": redacted(run.dataset_report),
        }

    def test_runs(self) -> list[TestRunResponse]:
        """Return the responses of test runs, in order."""
        return [
            TestRunResponse(
                **self._shared(run),
                **{key: getattr(run, key) for key in _OF_TEST_RUN},
                dataset_path=shown_path(run.dataset_path, self._place.roots),
            )
            for run in self._runs
            if isinstance(run, RunView)
        ]

    def inference_jobs(self) -> list[InferenceJobResponse]:
        """Return the responses of inference jobs, in order."""
        return [
            InferenceJobResponse(**self._shared(run), **{key: getattr(run, key) for key in _OF_JOB})
            for run in self._runs
            if isinstance(run, InferenceJobView)
        ]


def test_run_response(place: Place, run: RunView) -> TestRunResponse:
    """Return the response of one test run."""
    return Describer(place, TEST_RUN, [run]).test_runs()[0]


def inference_job_response(place: Place, job: InferenceJobView) -> InferenceJobResponse:
    """Return the response of one inference job."""
    return Describer(place, INFERENCE_JOB, [job]).inference_jobs()[0]


def shown_path(path: str, roots: Sequence[str]) -> str:
    """Return a path relative to its root, or its last part; an address stays as it is."""
    if "://" in path:
        return path
    return below_roots(path, roots) or PurePosixPath(path).name


def redacted(value: Any) -> Any:
    """Return a JSON value whose texts have no paths of the server; names and keys stay.

    Example:
        >>> redacted({"classes": {"/m/01g317": 3}, "warnings": ["/srv/data/a.csv has no header"]})
        {'classes': {'/m/01g317': 3}, 'warnings': ['a.csv has no header']}
    """
    if isinstance(value, str):
        return without_paths(value)
    if isinstance(value, dict):
        return {key: item if key in _NAMES else redacted(item) for key, item in value.items()}
    if isinstance(value, list):
        return [redacted(item) for item in value]
    return value


def relative_checkpoint(path: str, folder: str | None) -> str:
    """Return a checkpoint's path relative to the directory of its training job."""
    if folder and path.startswith(folder.rstrip("/") + "/"):
        return path[len(folder.rstrip("/")) + 1 :]
    return PurePosixPath(path).name
