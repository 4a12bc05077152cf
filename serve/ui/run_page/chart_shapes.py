"""The charts of a run as SVG shapes, whose colours are those of the page in either theme."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from snellen.analysis.plots.curves import CLASSES_DRAWN, Curve, RunCurves
from snellen.analysis.plots.specs import label_places

WIDTH, HEIGHT = 300, 178
"""Size of the plot in units of the SVG; both axes go from 0 to 1."""
_POINTS = 101
_DOTS = (2.0, 6.0)


@dataclass(frozen=True, slots=True)
class ChartShapes:
    """A chart for the template.

    Attributes:
        name: of its parts in the page.
        title, note: for people.
        x, y: titles of the axes.
        lines: class in the style sheet and path.
        labels: x, y and text.
        bars: x, width and height of each, from the base line.
        dots: x, y and radius.
        mark: x and y of the point that follows the threshold; None without.
    """

    name: str
    title: str
    note: str
    x: str
    y: str
    lines: list[tuple[str, str]]
    labels: list[tuple[float, float, str]] = field(default_factory=list)
    bars: list[tuple[float, float, float]] = field(default_factory=list)
    dots: list[tuple[float, float, float]] = field(default_factory=list)
    mark: tuple[float, float] | None = None


def precision_recall(curves: RunCurves, mark: tuple[float, float] | None) -> ChartShapes | None:
    """Return precision over recall: all classes, and each; None without curves.

    Args:
        curves: of the run.
        mark: recall and precision at the threshold; None for no point.
    """
    if not curves.precision_recall:
        return None
    classes = sum(curve.name is not None for curve in curves.precision_recall)
    some = f"the {CLASSES_DRAWN} lowest of {classes:,}" if classes > CLASSES_DRAWN else "each"
    lines = [("many", path(curve)) for curve in curves.drawn_classes()]
    lines += [("main", path(curve)) for curve in curves.precision_recall if curve.name is None]
    note = f"{curves.precision_recall_note} · all classes, and {some}"
    title = "Precision–recall"
    return ChartShapes("pr", title, note, "Recall", "Precision", lines, mark=_place(mark))


def by_confidence(curves: RunCurves, mark: tuple[float, float] | None) -> ChartShapes | None:
    """Return the lines over the confidence threshold; None without them.

    Args:
        curves: of the run; its first line is the main one.
        mark: threshold and score of the main line; None for no point.
    """
    if not curves.by_confidence:
        return None
    main, *others = curves.by_confidence
    lines = [*(("third", path(curve)) for curve in others), ("main", path(main))]
    labels = [
        (_x(one["x"]), round(_y(one["y"]) + one["dy"], 1), one["name"])
        for one in label_places(curves.by_confidence)
    ]
    note = f"with {' and '.join(curve.name or '' for curve in others)}".lower()
    title = curves.by_confidence_title
    return ChartShapes("f1", title, note, "Confidence", "Score", lines, labels, mark=_place(mark))


def reliability(curves: RunCurves) -> ChartShapes | None:
    """Return the accuracy of each bin against its mean confidence; None without predictions."""
    bins: Sequence[dict[str, Any]] = [one for one in curves.reliability if one["count"]]
    if not bins:
        return None
    total = sum(one["count"] for one in bins)
    small, large = _DOTS
    bars = [
        (
            _x(one["low"]),
            round(WIDTH * (one["high"] - one["low"]) - 1, 1),
            round(HEIGHT * one["accuracy"], 1),
        )
        for one in bins
    ]
    dots = [
        (
            _x(one["confidence"]),
            _y(one["accuracy"]),
            round(small + (large - small) * (one["count"] / total) ** 0.5, 1),
        )
        for one in bins
    ]
    label = curves.reliability_label
    note = f"{label} of predictions in each bin of confidence"
    line = [("third", f"M0 {HEIGHT}L{WIDTH} 0")]
    return ChartShapes(
        "reliability", "Reliability", note, "Confidence", label, line, bars=bars, dots=dots
    )


def path(curve: Curve) -> str:
    """Return the path of a curve."""
    thin = curve.thinned(_POINTS)
    points = zip(thin.x.tolist(), thin.y.tolist(), strict=True)
    return "M" + "L".join(f"{_x(x):g} {_y(y):g}" for x, y in points) if len(thin.x) else ""


def _place(mark: tuple[float, float] | None) -> tuple[float, float] | None:
    return None if mark is None else (_x(mark[0]), _y(mark[1]))


def _x(value: float) -> float:
    return round(WIDTH * value, 1)


def _y(value: float) -> float:
    return round(HEIGHT * (1 - value), 1)
