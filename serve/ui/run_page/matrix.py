"""The confusion matrix of a page: each cell with its texts and the list that it counts."""

from __future__ import annotations

from typing import Any

from snellen.analysis.plots.matrix_spec import cell_text
from snellen.analysis.plots.matrix_view import matrix_view
from snellen.serve.ui.run_page.filters import OBJECTS, ImageFilters


def matrix_cells(matrix: Any, filters: ImageFilters, *, objects: bool) -> dict[str, Any] | None:
    """Return the rows of a matrix for the template; None without a matrix.

    Args:
        matrix: stored or counted, see `snellen.metrics.classification.confusion.matrix`.
        filters: names of the classes, and the threshold of the lists.
        objects: objects are counted, not images.
    """
    view = matrix_view(matrix, filters.names)
    if view is None:
        return None
    ids = {name: number for number, name in enumerate(filters.names)}
    background = len(view.true) > 0 and view.true[-1] != view.predicted[-1]
    rows = []
    for t, (true, line) in enumerate(zip(view.true, view.rows, strict=True)):
        outside = background and t == len(view.true) - 1
        cells = []
        for p, (predicted, cell) in enumerate(zip(view.predicted, line, strict=True)):
            missed = background and p == len(view.predicted) - 1
            pair = (-1 if outside else ids[true], -1 if missed else ids[predicted])
            cells.append(
                {
                    "kind": cell.kind,
                    "count": cell.count,
                    "step": max(1, cell.step),
                    "text": cell_text(cell.share, cell.count, outside),
                    "href": _cell_link(filters, pair, objects) if cell.count else None,
                    "title": f"{true} → {predicted}: {cell.count:,}",
                }
            )
        rows.append({"name": true, "cells": cells})
    return {"columns": view.predicted, "rows": rows, "hidden": view.hidden, "objects": objects}


def _cell_link(filters: ImageFilters, pair: tuple[int, int], objects: bool) -> str:
    true, predicted = pair
    if objects:
        return filters.only(view=OBJECTS, cell_true=true, cell_predicted=predicted)
    return filters.only(true_class=true, predicted_class=predicted, status="ok")
