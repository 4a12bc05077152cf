"""Vega-Lite specifications of the charts, as data.

The colours are CSS variables, see `snellen.analysis.plots.colours`: a page draws a specification as
it is, and `coloured` fills in the values of a theme for a file. The design: horizontal grid lines
only, the axis titles at the ends of the axes, all classes in ink, each class in grey, references
dashed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from snellen.analysis.plots.colours import colour
from snellen.analysis.plots.curves import Curve, RunCurves

Spec = dict[str, Any]
SCHEMA = "https://vega.github.io/schema/vega-lite/v5.json"
"""Identifier of the format; nothing is loaded from there."""
FONT = (
    'ui-sans-serif, system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "DejaVu Sans", '
    "sans-serif"
)
CLASSES_IN_BARS = 40
"""Maximum number of classes in the chart of classes: those with the lowest values."""
_WIDTH, _HEIGHT = 340, 208
_QUARTERS = [0, 0.25, 0.5, 0.75, 1]


def _config() -> Spec:
    label = {"labelColor": colour("ink-2"), "labelFontSize": 11, "titleColor": colour("ink")}
    return {
        "font": FONT,
        "background": None,
        "view": {"stroke": None},
        "axis": {
            **label,
            "titleFontSize": 11,
            "titleFontWeight": 500,
            "gridColor": colour("line"),
            "domain": False,
            "ticks": False,
            "labelPadding": 6,
            "labelFlush": False,
        },
        "axisX": {"grid": False, "domain": True, "domainColor": colour("line-control")},
        "text": {"font": FONT, "fontSize": 11},
    }


def layered(values: Iterable[Mapping[str, Any]], layers: list[Spec], **more: Any) -> Spec:
    """Return the specification of marks over one table; ``more`` are further keys of it."""
    return {
        "$schema": SCHEMA,
        "width": _WIDTH,
        "height": _HEIGHT,
        "data": {"values": list(values)},
        "layer": layers,
        "config": _config(),
        **more,
    }


def _x(title: str) -> Spec:
    axis: Spec = {"title": title, "values": _QUARTERS, "labelExpr": "datum.value"}
    axis |= {"titleAnchor": "end", "titlePadding": 6}
    return {"field": "x", "type": "quantitative", "scale": {"domain": [0, 1]}, "axis": axis}


def _y(title: str) -> Spec:
    axis = {
        "title": title,
        "values": _QUARTERS,
        "labelExpr": "datum.value",
        "titleAngle": 0,
        "titleAlign": "left",
        "titleX": 0,
        "titleY": -12,
    }
    return {"field": "y", "type": "quantitative", "scale": {"domain": [0, 1]}, "axis": axis}


def _points(curves: Iterable[Curve]) -> list[dict[str, Any]]:
    return [
        {"x": round(x, 6), "y": round(y, 6), "series": number, "name": curve.name or ""}
        for number, curve in enumerate(curve.thinned() for curve in curves)
        for x, y in zip(curve.x.tolist(), curve.y.tolist(), strict=True)
    ]


def _line(test: str, **mark: Any) -> Spec:
    return {
        "transform": [{"filter": test}],
        "mark": {"type": "line", "interpolate": "linear", "clip": True, **mark},
        "encoding": {"detail": {"field": "series", "type": "nominal"}, "order": {"field": "n"}},
    }


def precision_recall(curves: RunCurves) -> Spec:
    """Return the chart of precision over recall: all classes in ink, each class in grey."""
    lines = [*(c for c in curves.precision_recall if c.name is None), *curves.drawn_classes()]
    values = _numbered(_points(lines))
    return layered(
        values,
        [
            _line("datum.series > 0", stroke=colour("many"), strokeWidth=1),
            _line("datum.series == 0", stroke=colour("ink"), strokeWidth=1.75),
        ],
        encoding={"x": _x("Recall"), "y": _y("Precision")},
    )


def by_confidence(curves: RunCurves) -> Spec:
    """Return the chart of the lines over the confidence threshold, each labelled at a free place.

    The run's own threshold is a point on the main line.
    """
    lines = curves.by_confidence
    dashed = {"strokeWidth": 1.5, "strokeDash": [4, 3], "stroke": colour("ink-3")}
    layers = [
        _line("datum.series > 0", **dashed),
        _line("datum.series == 0", stroke=colour("ink"), strokeWidth=1.75),
        _names(lines),
    ]
    at = curves.operating_confidence
    if at is not None and lines:
        main = lines[0]
        height = float(main.y[min(round(at * 100), len(main.y) - 1)])
        layers.append(
            {
                "data": {"values": [{"x": at, "y": round(height, 6)}]},
                "mark": {
                    "type": "point", "filled": True, "size": 80, "opacity": 1,
                    "fill": colour("accent"), "stroke": colour("canvas"), "strokeWidth": 2,
                },
            }
        )  # fmt: skip
    encoding = {"x": _x("Confidence"), "y": _y("Score")}
    return layered(_numbered(_points(lines)), layers, encoding=encoding)


def label_places(lines: Sequence[Curve]) -> list[Spec]:
    """Return ``x``, ``y``, ``name`` and ``dy`` of the labels, each far from the other lines.

    Example:
        >>> import numpy as np
        >>> x = np.array([0.2, 0.5])
        >>> lines = [Curve("F1", x, np.array([0.5, 0.9])), Curve("Recall", x, np.array([0.4, 0.1]))]
        >>> [(one["name"], one["x"], one["dy"]) for one in label_places(lines)]
        [('F1', 0.5, -9), ('Recall', 0.5, 12)]
    """
    values: list[Spec] = []
    for number, line in enumerate(lines):
        candidates = [place for place in range(len(line.x)) if 0.1 <= line.x[place] <= 0.85]
        if not candidates:
            continue
        best = max(candidates, key=lambda place: _distance(lines, number, place))
        others = [_at(other, line.x[best]) for other in lines if other is not line]
        above = all(line.y[best] >= value for value in others)
        shift = -9 if above and line.y[best] < 0.94 else 12
        values.append(
            {"x": float(line.x[best]), "y": float(line.y[best]), "name": line.name, "dy": shift}
        )
    return values


def _names(lines: Sequence[Curve]) -> Spec:
    """Label each line where the next line is farthest from it."""
    values = label_places(lines)
    marks = [
        {
            "transform": [{"filter": f"datum.dy == {shift}"}],
            "mark": {"type": "text", "dy": shift, "fill": colour("ink-2")},
            "encoding": {"text": {"field": "name", "type": "nominal"}},
        }
        for shift in (-9, 12)
    ]
    return {"data": {"values": values}, "layer": marks}


def _distance(lines: Sequence[Curve], number: int, place: int) -> float:
    x, y = lines[number].x[place], lines[number].y[place]
    return min(
        (abs(_at(other, x) - y) for n, other in enumerate(lines) if n != number), default=0.0
    )


def _at(line: Curve, x: float) -> float:
    return float(line.y[int(abs(line.x - x).argmin())])


def reliability(curves: RunCurves) -> Spec:
    """Return the reliability diagram: the accuracy of each bin against its mean confidence."""
    label = curves.reliability_label
    total = sum(bin_["count"] for bin_ in curves.reliability) or 1
    values = [
        {
            "low": bin_["low"], "high": bin_["high"], "y": bin_["accuracy"],
            "x": bin_["confidence"], "count": bin_["count"], "share": bin_["count"] / total,
        }
        for bin_ in curves.reliability
        if bin_["count"]
    ]  # fmt: skip
    bars = {
        "mark": {"type": "rect", "fill": colour("bar"), "x2Offset": -1},
        "encoding": {
            "x": {**_x("Confidence"), "field": "low"},
            "x2": {"field": "high"},
            "y": _y(label),
            "y2": {"datum": 0},
        },
    }
    diagonal = {
        "data": {"values": [{"x": 0, "y": 0, "n": 0}, {"x": 1, "y": 1, "n": 1}]},
        "mark": {
            "type": "line",
            "stroke": colour("ink-3"),
            "strokeDash": [4, 3],
            "strokeWidth": 1.5,
        },
        "encoding": {"x": _x("Confidence"), "y": _y(label), "order": {"field": "n"}},
    }
    points = {
        "mark": {"type": "point", "filled": True, "fill": colour("ink"), "opacity": 1},
        "encoding": {
            "x": _x("Confidence"),
            "y": _y(label),
            "size": {
                "field": "share",
                "type": "quantitative",
                "scale": {"domain": [0, 1], "range": [16, 160]},
                "legend": None,
            },
        },
    }
    return layered(values, [bars, diagonal, points])


def class_bars(per_class: Mapping[str, Mapping[str, Any]], key: str, label: str) -> Spec:
    """Return a bar per class, the highest value first; of many classes the lowest ones.

    Args:
        per_class: of the run.
        key: of the metric.
        label: its name for people.
    """
    rows = [
        {"name": name, "value": row[key], "text": f"{row[key]:.3f}", "support": row["support"]}
        for name, row in per_class.items()
        if row.get(key) is not None
    ]
    rows.sort(key=lambda row: (row["value"], row["name"]))
    order = [row["name"] for row in reversed(rows[:CLASSES_IN_BARS])]
    y: Spec = {"field": "name", "type": "nominal", "sort": order, "title": None}
    y["axis"] = {"labelLimit": 180, "grid": False, "labelColor": colour("ink")}
    x: Spec = {"field": "value", "type": "quantitative", "scale": {"domain": [0, 1]}}
    x["axis"] = {
        "title": label, "values": _QUARTERS, "labelExpr": "datum.value", "titleAnchor": "end",
        "grid": True, "domain": False,
    }  # fmt: skip
    return layered(
        rows[:CLASSES_IN_BARS],
        [
            {"mark": {"type": "bar", "fill": colour("bar"), "height": 10}},
            {
                "mark": {"type": "text", "align": "left", "dx": 5, "fill": colour("ink-2")},
                "encoding": {"text": {"field": "text", "type": "nominal"}},
            },
        ],
        encoding={"x": x, "y": y},
        height={"step": 22},
    )


def _numbered(points: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{**point, "n": number} for number, point in enumerate(points)]
