"""The Vega-Lite specification of a confusion matrix."""

from __future__ import annotations

from collections.abc import Sequence

from snellen.analysis.plots.colours import colour
from snellen.analysis.plots.matrix_view import MatrixView
from snellen.analysis.plots.specs import Spec, layered

_SHADES = [0, 0.09, 0.16, 0.24, 0.31, 0.38, 0.45, 0.52, 0.59, 0.66]
"""Opacity of each step of a cell."""
_CELL = 30


def confusion_matrix(view: MatrixView) -> Spec:
    """Return the confusion matrix: cells shaded by their share of the row, in three kinds."""
    values = [
        {
            "true": t, "predicted": p, "kind": cell.kind, "shade": _SHADES[cell.step],
            "text": cell_text(cell.share, cell.count, t == len(view.rows) - 1 and cell.share == 0),
        }
        for t, row in enumerate(view.rows)
        for p, cell in enumerate(row)
    ]  # fmt: skip
    kinds = {"ok": "tp-fill", "miss": "fn-fill", "confused": "fp-fill"}
    fill = {"domain": list(kinds), "range": [colour(name) for name in kinds.values()]}
    axis = {"domain": False, "grid": False, "labelLimit": 180}
    names = [
        {"x": _name_axis("predicted", view.predicted, axis | {"orient": "top", "labelAngle": -60})},
        {"y": _name_axis("true", view.true, axis)},
    ]
    cells = {
        "mark": {"type": "rect", "cornerRadius": 2, "xOffset": 0.5, "x2Offset": -0.5},
        "encoding": {
            "fill": {"field": "kind", "type": "nominal", "scale": fill, "legend": None},
            "fillOpacity": {"field": "shade", "type": "quantitative", "scale": None},
        },
    }
    texts = {
        "mark": {"type": "text", "fill": colour("ink")},
        "encoding": {"text": {"field": "text", "type": "nominal"}},
    }
    size = {"width": {"step": _CELL}, "height": {"step": 26}}
    return layered(values, [cells, texts], encoding=names[0] | names[1], **size)


def cell_text(share: float, count: int, is_count: bool) -> str:
    """Return the text of a cell: per cent of its row, or the count where a row has no sum.

    >>> cell_text(0.8912, 5, False), cell_text(0.019, 1, False), cell_text(0.0, 0, False)
    ('89', '1.9', '')
    """
    if is_count:
        return f"{count:,}" if count else ""
    if share < 0.0005:
        return ""
    return f"{share:.0%}"[:-1] if share >= 0.0995 else f"{share * 100:.1f}"


def _name_axis(field: str, names: Sequence[str], axis: Spec) -> Spec:
    """Return an axis of numbered places that shows names, which need not be unique."""
    shown = [name if len(name) <= 40 else f"{name[:39]}…" for name in names]
    return {
        "field": field,
        "type": "ordinal",
        "axis": {
            **axis,
            "title": None,
            "labelExpr": f"{_expression(shown)}[datum.value]",
        },
    }


def _expression(names: Sequence[str]) -> str:
    """Return a list of strings in Vega's expression language, every character escaped."""
    quoted = ("".join(f"\\u{unit:04x}" for unit in _units(name)) for name in names)
    return "[" + ",".join(f"'{name}'" for name in quoted) + "]"


def _units(text: str) -> list[int]:
    data = text.encode("utf-16-be", "surrogatepass")
    return [int.from_bytes(data[at : at + 2]) for at in range(0, len(data), 2)]
