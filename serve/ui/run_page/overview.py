"""The facts and numbers of a run that stand in its row: no result file is read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from snellen.analysis.comparison.training_results import training_metrics
from snellen.analysis.documents import run_document
from snellen.analysis.report import sections
from snellen.metrics.classification.confusion import unique_names
from snellen.pipelines.runs.reading.operating import operating_point, operating_text
from snellen.pipelines.tasks.registry import task_of
from snellen.serve.api.redaction import without_paths
from snellen.serve.api.runs.run_responses import shown_path
from snellen.serve.api.state import State
from snellen.serve.ui.run_facts import RunFacts
from snellen.serve.ui.run_page.filters import OBJECTS, ImageFilters
from snellen.serve.ui.run_page.matrix import matrix_cells
from snellen.store.jobs import get_training_job
from snellen.store.kinds import TEST_RUN
from snellen.store.tags import tags_of
from snellen.store.views import RunView

Document = dict[str, Any]
_COUNT_LINKS = {"FP": ("FP", "predicted_class"), "FN": ("FN", "true_class")}
_HASHES = {
    "Configuration": "config_hash",
    "Manifest": "manifest_hash",
    "Checkpoint": "checkpoint_sha256",
}


@dataclass(frozen=True, slots=True)
class Overview(RunFacts):
    """A run for the template.

    Attributes:
        run: its row.
        names: unique class names.
        has_objects: the task has objects with matches.
        tags, job, source: texts.
        message: why the run stopped, without paths of the server.
        figures: metrics at the top, each with the validation value.
        validation_note: why no metric has a validation value; empty if one has.
        classes: table of the classes.
        matrix: confusion matrix; None without one.
        slices: tables of slices.
        objects: number of true objects; None for a classifier.
        operating: the confidence threshold in words; empty without one.
    """

    run: RunView
    names: list[str]
    has_objects: bool
    tags: list[str]
    job: str
    source: str
    message: str
    figures: list[Document]
    validation_note: str
    classes: Document | None
    matrix: Document | None
    slices: list[Document]
    objects: int | None
    operating: str

    @property
    def title(self) -> str:
        """Return the name of the run."""
        return self.run.name or f"run {self.run.id}"

    @property
    def path(self) -> str:
        """Return the path of the page."""
        return f"/runs/{self.run.id}"

    @property
    def coverage(self) -> str:
        """Return the share of scored images, with as many decimals as tell it from 100 %."""
        value = (self.run.metrics or {}).get("coverage")
        if value is None:
            return ""
        if value == 1:
            return "100 %"
        for places in range(1, 5):
            text = f"{100 * value:.{places}f}"
            if not text.startswith("100"):
                return f"{text} %"
        return "below 100 %"

    @property
    def fingerprint(self) -> dict[str, str]:
        """Return hashes and versions by name."""
        found = self.run.fingerprint or {}
        shown = {name: str(found[key])[:12] for name, key in _HASHES.items() if found.get(key)}
        return shown | {name: str(value) for name, value in (found.get("versions") or {}).items()}

    @property
    def level(self) -> str:
        """Return the confidence level of the intervals in per cent."""
        metrics = (self.run.config or {}).get("metrics") or {}
        return f"{100 * metrics.get('confidence_level', 0.95):g}"


def read_overview(state: State, run: RunView, filters: ImageFilters) -> Overview:
    """Describe a run by its row; ``filters`` gives the addresses of lists."""
    names = list(filters.names)
    document, place = run_document(run) | {"details": run.details}, state.place
    completed = run.status == "completed"
    validation, reason = training_metrics(place.db, run) if completed else ({}, None)
    figures = [_with_validation(one, validation) for one in sections.figures(document)]
    matched = any(one["validation"] is not None for one in figures)
    split = f" {run.dataset_split}" if run.dataset_split else ""
    point = operating_point(run) if run.config else None
    return Overview(
        run=run,
        names=names,
        has_objects=has_objects(run),
        tags=tags_of(place.db, TEST_RUN, [run.id]).get(run.id, []),
        job=get_training_job(place.db, run.training_job_id).name,
        source=shown_path(run.dataset_path, place.roots) + split,
        message=without_paths(run.error_message) if run.error_message else "",
        figures=figures,
        validation_note="" if matched else reason or "the training log has no metric of the run",
        classes=_classes(document, filters),
        matrix=matrix_cells(run.confusion_matrix, filters, objects=has_objects(run)),
        slices=_slices(document, filters),
        objects=_objects(run),
        operating="" if point is None else operating_text(point, run.class_names or ()),
    )


def has_objects(run: RunView) -> bool:
    """Return True for a task with objects that are matched."""
    return task_of(run.task_type).has_operating_point


def class_names(run: RunView) -> list[str]:
    """Return the unique names of a run's classes."""
    return unique_names(run.class_names or ())


def _with_validation(figure: Document, validation: Mapping[str, Any]) -> Document:
    value = validation.get(figure["key"])
    known = isinstance(value, int | float) and figure["value"] is not None
    difference = figure["value"] - value if known else None
    return {**figure, "validation": value if known else None, "difference": difference}


def _classes(document: Document, filters: ImageFilters) -> Document | None:
    if not document["per_class_metrics"]:
        return None
    key, label = _class_metric(document)
    table = sections.classes(document, key, label)
    for row in table["rows"]:
        number = filters.names.index(row["name"])
        row["href"] = filters.only(true_class=number)
        row["counts"] = [
            (count, _count_link(filters, title, number))
            for title, count in zip(table["counts"], row["counts"], strict=True)
        ]
    return table


def _class_metric(document: Document) -> tuple[str, str]:
    """Return key and label of the metric that classes are ranked by."""
    primary = document["primary_metric_name"] or ""
    if "mAP50-95" not in primary:
        return "f1", "F1"
    label = primary.replace("mAP50-95", "AP50-95").replace("mask_", "mask ").replace("oks_", "OKS ")
    return primary.replace("mAP50-95", "AP"), label


def _count_link(filters: ImageFilters, title: str, number: int) -> str | None:
    if title not in _COUNT_LINKS:
        return None
    match, side = _COUNT_LINKS[title]
    return filters.only(view=OBJECTS, match=match, **{side: number})


def _slices(document: Document, filters: ImageFilters) -> list[Document]:
    stored: Sequence[Document] = (document.get("details") or {}).get("slices") or ()
    shown = sections.slices(document, stored)
    for group, one in zip(shown, stored, strict=True):
        for row in group["rows"]:
            values = {"slice_by": group["by"], "slice_value": row["name"]}
            row["href"] = None if one.get("edges") else filters.only(**values)
    return shown


def _objects(run: RunView) -> int | None:
    rows = (run.per_class_metrics or {}).values()
    if not has_objects(run) or not rows:
        return None
    return sum(row.get("support") or 0 for row in rows)
