"""Exports of a run that pages offer and list."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from snellen.adapters.types import TaskType
from snellen.analysis.export.registry import EXPORTERS
from snellen.serve.api.bodies.catalog_bodies import ExportFormat
from snellen.serve.api.redaction import without_paths
from snellen.serve.api.state import State
from snellen.store.kinds import INFERENCE_JOB, TEST_RUN
from snellen.store.service.analyses import AnalysisView, exports_of
from snellen.store.views import AnyRun, RunView

LABELS = {
    "zip": "ZIP: annotated images and rows",
    "csv": "CSV: one row per image",
    "ndjson": "NDJSON: one row per line, with objects",
    "json": "JSON: one document",
    "parquet": "Parquet: one row per image, with objects",
    "coco": "COCO JSON: results",
    "yolo": "YOLO: label files",
    "label-studio": "Label Studio: tasks to relabel",
    "cvat": "CVAT: images to relabel",
}
"""Formats of the API in the order of the menu."""


@dataclass(frozen=True, slots=True)
class ExportRow:
    """An export of a run.

    Attributes:
        message: why it failed, without paths of the server.
        notes: what was left out, and remarks.
    """

    id: int
    format: str
    status: str
    file_name: str
    message: str
    notes: list[str]
    filter: dict[str, Any]

    @property
    def conditions(self) -> str:
        """Return the conditions on the images in words; empty without."""
        said = {
            "min_confidence": "confidence ≥ {}", "correct": "correct: {}", "status": "status {}",
            "true_class": "class {}",
        }  # fmt: skip
        values = {True: "yes", False: "no"}
        found = [
            said[name].format(values[one] if isinstance(one, bool) else one)
            for name, one in self.filter.items()
            if name in said
        ]
        return ", ".join(found)

    @property
    def is_live(self) -> bool:
        """Return True if the export is not written yet."""
        return self.status in ("pending", "running")


@dataclass(frozen=True, slots=True)
class ExportList:
    """The formats and the exports of a run.

    Attributes:
        path: of the exports below ``/ui``.
        has_filters: the images of the list on the page can be exported alone.
        problem: why an export was not started; empty if it was.
    """

    path: str
    formats: list[tuple[str, str]]
    rows: list[ExportRow]
    has_filters: bool
    problem: str = ""

    @property
    def is_live(self) -> bool:
        """Return True if the list changes by itself."""
        return any(row.is_live for row in self.rows)


def read_exports(state: State, run: AnyRun, problem: str = "") -> ExportList:
    """Return the exports of a run, newest first, and the formats that fit its task.

    Args:
        state: of the service.
        run: a test run or an inference job.
        problem: why an export was not started.
    """
    labelled = isinstance(run, RunView)
    kind = TEST_RUN if labelled else INFERENCE_JOB
    return ExportList(
        path=f"/{'runs' if labelled else 'inference-jobs'}/{run.id}/exports",
        formats=formats_of(run),
        rows=[_row(one) for one in exports_of(state.db, kind, run.id)],
        has_filters=labelled,
        problem=problem,
    )


def formats_of(run: AnyRun) -> list[tuple[str, str]]:
    """Return the formats of the API that fit the task of a run: name and label."""
    task = TaskType(run.task_type)
    served = sorted(get_args(ExportFormat), key=list(LABELS).index)
    return [(name, LABELS[name]) for name in served if task in EXPORTERS.load(name).tasks]


def _row(found: AnalysisView) -> ExportRow:
    result = found.result or {}
    left_out = (result.get("left_out") or {}).items()
    counted = [f"{count:,} {reason.replace('_', ' ')} left out" for reason, count in left_out]
    return ExportRow(
        id=found.id,
        format=found.request["format"],
        status=found.status,
        file_name="" if found.file is None else Path(found.file).name,
        message=without_paths(found.error_message or ""),
        notes=[*counted, *(without_paths(str(note)) for note in result.get("notes") or ())],
        filter=found.request.get("filter") or {},
    )
