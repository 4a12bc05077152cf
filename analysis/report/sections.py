"""The sections of a report that follow from the row of the run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from snellen.analysis.report.numbers import metric_name
from snellen.metrics.detection.operating_point import OperatingPoint
from snellen.metrics.errors.counts import BucketSummary, MistakeSummary

Document = dict[str, Any]
_FIGURES = 7
_SELDOM = ("ultralytics_", "coverage", "best_f1")
CLASSES_LISTED = 200
"""Maximum number of classes in the table; above it those with the lowest values."""
_CLASS_COLUMNS = {
    "AP50": "AP50",
    "mask_AP50": "mask AP50",
    "oks_AP50": "OKS AP50",
    "precision": "Precision",
    "recall": "Recall",
    "f1": "F1",
}
_CLASS_COUNTS = {"support": "Labelled", "predicted": "Predicted", "fp": "FP", "fn": "FN"}


def figures(run: Document) -> list[Document]:
    """Return the metrics at the top: the primary one, those with an interval, then others."""
    values = _numbers(run)
    intervals = run["intervals"] or {}
    primary = run["primary_metric_name"]
    keys = [primary, *(key for key in values if intervals.get(key)), *values]
    chosen = [key for key in dict.fromkeys(keys) if key in values and not key.startswith(_SELDOM)]
    return [_metric(key, values, intervals) for key in chosen[:_FIGURES]]


def metrics(run: Document) -> list[Document]:
    """Return every metric of a run with its interval."""
    values, intervals = _numbers(run), run["intervals"] or {}
    return [_metric(key, values, intervals) for key in values]


def _metric(key: str, values: Mapping[str, Any], intervals: Mapping[str, Any]) -> Document:
    value = values[key]
    bounds = intervals.get(key)
    unit = value is not None and 0 <= value <= 1
    return {
        "key": key,
        "name": metric_name(key),
        "value": value,
        "interval": bounds,
        "bar": percent(value) if unit else None,
        "whisker": [percent(one) for one in bounds] if unit and bounds else None,
    }


def _numbers(run: Document) -> dict[str, float | None]:
    found = run["metrics"] or {}
    return {key: value for key, value in found.items() if not isinstance(value, list | dict)}


def percent(value: float) -> float:
    """Return a value from 0 to 1 as a place on a bar of 100."""
    return round(100 * min(1.0, max(0.0, value)), 2)


def classes(run: Document, key: str, label: str) -> Document:
    """Return the table of classes, the highest value first.

    Args:
        run: its document.
        key: of the metric that they are ranked by.
        label: its name for people.
    """
    rows = run["per_class_metrics"] or {}
    present = {name for row in rows.values() for name, value in row.items() if value is not None}
    columns = {k: title for k, title in _CLASS_COLUMNS.items() if k in present and k != key}
    counts = {k: title for k, title in _CLASS_COUNTS.items() if k in present}
    ranked = sorted(
        rows.items(), key=lambda one: (one[1].get(key) is None, -(one[1].get(key) or 0))
    )
    known = [one for one in ranked if one[1].get(key) is not None]
    hidden = max(0, len(ranked) - CLASSES_LISTED)
    shown = known[-CLASSES_LISTED:] if hidden else ranked
    return {
        "label": label,
        "columns": list(columns.values()),
        "counts": list(counts.values()),
        "hidden": hidden,
        "rows": [
            {
                "name": name,
                "value": row.get(key),
                "bar": None if row.get(key) is None else percent(row[key]),
                "values": [row.get(k) for k in columns],
                "counts": [row.get(k) for k in counts],
            }
            for name, row in shown
        ],
    }


def errors(summary: BucketSummary | MistakeSummary) -> Document:
    """Return the errors by kind."""
    if isinstance(summary, MistakeSummary):
        pairs = [asdict(pair) for pair in summary.most_confused]
        for pair in pairs:
            pair["bar"] = percent(pair["share"])
        return {"mistakes": summary.mistakes, "pairs": pairs}
    gains = [bucket.delta_ap or 0.0 for bucket in summary.buckets]
    most = max(gains, default=0.0) or 1.0
    return {
        "min_confidence": summary.min_confidence,
        "buckets": [
            {
                **asdict(bucket),
                "bar": percent(max(0.0, gain) / most),
                "missed": bucket.bucket == "Miss",
            }
            for bucket, gain in zip(summary.buckets, gains, strict=True)
        ],
    }


def slices(run: Document, found: Sequence[Document]) -> list[Document]:
    """Return the primary metric of each slice beside that of all images.

    Args:
        run: its document.
        found: documents of `snellen.analysis.slices.slice_run`, each with ``by``.
    """
    primary = run["primary_metric_name"]
    shown = []
    for one in found:
        if "error" in one:
            shown.append({"by": one["by"], "error": one["error"], "rows": []})
            continue
        rows = [
            {
                **_metric(
                    primary, {primary: part["metrics"].get(primary)}, part["intervals"] or {}
                ),
                "name": name,
                "images": part["total_images"],
            }
            for name, part in one["slices"].items()
        ]
        shown.append({"by": one["by"], "rows": rows})
    return shown


def operating(run: Document, point: OperatingPoint | None) -> Document | None:
    """Return the counts at the operating point; None for a task without one."""
    if point is None:
        return None
    rows = (run["per_class_metrics"] or {}).values()
    counted = {key: sum(row.get(key) or 0 for row in rows) for key in ("tp", "fp", "fn")}
    return {**counted, **asdict(point)}


def dataset(report: Document | None) -> Document | None:
    """Return the dataset report, without what is zero."""
    if not report:
        return None
    annotations = report.get("annotations") or {}
    lists = {
        "passed over": {k: one["count"] for k, one in (report.get("passed_over") or {}).items()},
        "annotations ignored": annotations.get("ignored") or {},
        "annotations repaired": annotations.get("repaired") or {},
        "label errors": {k: one["count"] for k, one in (report.get("label_errors") or {}).items()},
    }
    return {
        "found": report.get("found"),
        "used": report.get("used"),
        "annotations": annotations.get("used"),
        "sizes": report.get("sizes") or {},
        "lists": {name: found for name, found in lists.items() if found},
        "warnings": report.get("warnings") or [],
    }
