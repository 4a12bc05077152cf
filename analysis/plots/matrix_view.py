"""The part of a confusion matrix that is shown: all classes, or the most confused ones."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from snellen.metrics.errors.counts import matrix_cells
from snellen.metrics.matching.assignment import Ints

CLASSES_SHOWN = 30
"""Maximum number of classes of a shown matrix."""
MISSED, BACKGROUND = "missed", "background"
"""The column of objects without a prediction, and the row of predictions without an object."""
_STEPS = 9


@dataclass(frozen=True, slots=True)
class MatrixCell:
    """A cell.

    Attributes:
        kind: ``ok`` on the diagonal, ``miss`` in the column of missed objects, else ``confused``.
        count: number of images or objects.
        share: of the row's sum, 0 to 1; 0 in the row of predictions without an object.
        step: shade, 1 to 9; 0 for an empty cell.
    """

    kind: Literal["ok", "miss", "confused"]
    count: int
    share: float
    step: int


@dataclass(frozen=True)
class MatrixView:
    """A confusion matrix for people.

    Attributes:
        true, predicted: the names of the rows and columns.
        rows: the cells.
        hidden: number of classes that are not shown.
    """

    true: list[str]
    predicted: list[str]
    rows: list[list[MatrixCell]]
    hidden: int


def matrix_view(matrix: Any, names: Sequence[str], limit: int = CLASSES_SHOWN) -> MatrixView | None:
    """Choose the rows and columns of a stored confusion matrix; None without one.

    Above ``limit`` classes the classes with the largest number of errors are shown, an error
    counting for both of its classes. Rows are true classes.

    Args:
        matrix: of a run, dense or sparse; one row more than classes has the background last.
        names: K unique class names.
        limit: maximum number of classes.

    Example:
        >>> view = matrix_view([[1, 1], [0, 2]], ["cat", "dog"])
        >>> [(cell.kind, cell.count, cell.share) for cell in view.rows[0]]
        [('ok', 1, 0.5), ('confused', 1, 0.5)]
    """
    if not matrix:
        return None
    size = matrix["shape"][0] if isinstance(matrix, dict) else len(matrix)
    true, predicted, counts = matrix_cells(matrix)
    background = size == len(names) + 1
    shown = _most_confused(true, predicted, counts, len(names), limit)
    rows = [*shown, size - 1] if background else shown
    sums = np.zeros(size, dtype=np.int64)
    np.add.at(sums, true, counts)
    place = {number: position for position, number in enumerate(rows)}
    grid = [[0] * len(rows) for _ in rows]
    for t, p, count in zip(true.tolist(), predicted.tolist(), counts.tolist(), strict=True):
        if t in place and p in place:
            grid[place[t]][place[p]] = count
    cells = [
        [
            _cell((t, p), count, int(sums[t]), size - 1 if background else -1)
            for p, count in zip(rows, line, strict=True)
        ]
        for t, line in zip(rows, grid, strict=True)
    ]
    labels = [names[number] for number in shown]
    extra = ([BACKGROUND], [MISSED]) if background else ([], [])
    return MatrixView(labels + extra[0], labels + extra[1], cells, len(names) - len(shown))


def _most_confused(true: Ints, predicted: Ints, counts: Ints, size: int, limit: int) -> list[int]:
    if size <= limit:
        return list(range(size))
    wrong = true != predicted
    errors = np.zeros(max(size, int(max(true.max(), predicted.max())) + 1), dtype=np.int64)
    for side in (true, predicted):
        np.add.at(errors, side[wrong], counts[wrong])
    return sorted(np.argsort(-errors[:size], kind="stable")[:limit].tolist())


def _cell(place: tuple[int, int], count: int, total: int, background: int) -> MatrixCell:
    true, predicted = place
    if true == background:  # the sum of a row without objects means nothing
        return MatrixCell("confused", count, 0.0, 1 if count else 0)
    kind: Literal["ok", "miss", "confused"] = (
        "ok" if true == predicted else "miss" if predicted == background else "confused"
    )
    share = count / total if total else 0.0
    shade = share if kind == "ok" else share**0.55
    return MatrixCell(kind, count, share, math.ceil(_STEPS * shade))
