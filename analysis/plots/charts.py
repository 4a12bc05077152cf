"""The charts of a run, in the order in which they are shown."""

from __future__ import annotations

from dataclasses import dataclass

from snellen.analysis.error_analysis import ErrorAnalysis
from snellen.analysis.plots import specs
from snellen.analysis.plots.curves import CLASSES_DRAWN, RunCurves
from snellen.analysis.plots.matrix_spec import confusion_matrix
from snellen.analysis.plots.matrix_view import matrix_view
from snellen.metrics.classification.confusion import unique_names
from snellen.store.sql.database import Database
from snellen.store.views import RunView


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart.

    Attributes:
        name: of its file.
        title: for people.
        note: what is drawn.
        spec: Vega-Lite, see `snellen.analysis.plots.specs`.
    """

    name: str
    title: str
    note: str
    spec: specs.Spec


def run_charts(db: Database, run: RunView) -> list[Chart]:
    """Return the charts of a completed run that have data.

    Raises:
        InputError: RUN_NOT_COMPLETED.
    """
    curves = ErrorAnalysis(db, run).curves()
    names = unique_names(run.class_names or ())
    return [*curve_charts(curves), *_class_charts(run, curves, names)]


def curve_charts(curves: RunCurves) -> list[Chart]:
    """Return the charts of curves."""
    charts = []
    if curves.precision_recall:
        classes = sum(curve.name is not None for curve in curves.precision_recall)
        some = f"the {CLASSES_DRAWN} lowest of {classes:,}" if classes > CLASSES_DRAWN else "each"
        note = f"{curves.precision_recall_note} · all classes, and {some}"
        charts.append(
            Chart("precision-recall", "Precision–recall", note, specs.precision_recall(curves))
        )
    if curves.by_confidence:
        others = [curve.name or "" for curve in curves.by_confidence[1:]]
        note = f"with {' and '.join(others)}".lower()
        spec = specs.by_confidence(curves)
        charts.append(Chart("by-confidence", curves.by_confidence_title, note, spec))
    if any(one["count"] for one in curves.reliability):
        note = f"{curves.reliability_label} of predictions in each bin of confidence"
        charts.append(Chart("reliability", "Reliability", note, specs.reliability(curves)))
    return charts


def _class_charts(run: RunView, curves: RunCurves, names: list[str]) -> list[Chart]:
    charts = []
    per_class = run.per_class_metrics or {}
    known = sum(row.get(curves.class_metric) is not None for row in per_class.values())
    if known:
        lowest = known > specs.CLASSES_IN_BARS
        note = f"the {specs.CLASSES_IN_BARS} lowest of {known:,}" if lowest else ""
        spec = specs.class_bars(per_class, curves.class_metric, curves.class_label)
        charts.append(Chart("classes", f"{curves.class_label} by class", note, spec))
    view = matrix_view(run.confusion_matrix, names)
    if view is not None:
        hidden = f" · {view.hidden:,} classes with fewer errors not shown" if view.hidden else ""
        note = f"rows ground truth, columns prediction, per cent of the row{hidden}"
        spec = confusion_matrix(view)
        charts.append(Chart("confusion-matrix", "Confusion matrix", note, spec))
    return charts
