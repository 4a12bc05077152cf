"""Who is taken for whom: per-class numbers and the confusion matrix."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from snellen.metrics.classification.state import ClassificationState
from snellen.metrics.statistics.intervals import wilson

DENSE_CLASSES = 1000
"""Up to this many classes the confusion matrix is given as a list of lists."""


def class_counts(
    state: ClassificationState,
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return (support, predicted, right) of every class: int64, each of shape (K,)."""
    size = state.num_classes
    true, predicted = np.divmod(state.cells, size)
    diagonal = true == predicted

    def count(ids: npt.NDArray[np.int64], weights: npt.NDArray[np.int64]) -> Any:
        total = np.zeros(size, dtype=np.int64)
        np.add.at(total, ids, weights)
        return total

    return (
        count(true, state.cell_counts),
        count(predicted, state.cell_counts),
        count(true[diagonal], state.cell_counts[diagonal]),
    )


def unique_names(class_names: Sequence[str]) -> list[str]:
    """Names usable as keys: a name that several classes share gets its id, ``crane [134]``."""
    shared = {name for name, count in Counter(class_names).items() if count > 1}
    return [f"{name} [{i}]" if name in shared else name for i, name in enumerate(class_names)]


def per_class(
    state: ClassificationState, class_names: Sequence[str], confidence_level: float
) -> dict[str, dict[str, Any]]:
    """Compute precision, recall, F1 and counts by class name; see `metrics.compute`."""
    support, predicted, right = (array.tolist() for array in class_counts(state))
    return {
        name: _one_class(i, support[i], predicted[i], right[i], confidence_level)
        for i, name in enumerate(unique_names(class_names))
    }


def _one_class(
    class_id: int, support: int, predicted: int, right: int, level: float
) -> dict[str, Any]:
    present = support > 0
    precision = right / predicted if predicted else 0.0
    return {
        "class_id": class_id,
        "support": support,
        "predicted": predicted,
        "precision": precision if present else None,
        "recall": right / support if present else None,
        "f1": 2 * right / (support + predicted) if present else None,
        "precision_interval": wilson(right, predicted, level) if present else None,
        "recall_interval": wilson(right, support, level),
    }


def confusion_matrix(state: ClassificationState) -> list[list[int]] | dict[str, Any]:
    """The counts of a classifier, rows true, columns predicted; see `matrix`."""
    return matrix(state.num_classes, state.cells, state.cell_counts)


def matrix(
    size: int, cells: npt.NDArray[np.int64], counts: npt.NDArray[np.int64]
) -> list[list[int]] | dict[str, Any]:
    """A square matrix from its cells that are not zero, ``row * size + column``.

    Returns:
        A list of ``size`` lists of integers up to `DENSE_CLASSES`, above that only what is not
        zero: ``{"format": "coo", "shape": [size, size], "rows": [...], "cols": [...],
        "counts": [...]}``.
    """
    rows, columns = np.divmod(cells, size)
    if size > DENSE_CLASSES:
        return {
            "format": "coo",
            "shape": [size, size],
            "rows": rows.tolist(),
            "cols": columns.tolist(),
            "counts": counts.tolist(),
        }
    dense = np.zeros((size, size), dtype=np.int64)
    dense[rows, columns] = counts
    lists: list[list[int]] = dense.tolist()
    return lists


def most_confused(
    state: ClassificationState, class_names: Sequence[str], limit: int = 20
) -> list[dict[str, Any]]:
    """The most frequent mistakes, falling; equal ones by class id.

    Returns:
        Dicts of true, predicted (names), true_id, predicted_id and count.
    """
    true, predicted = np.divmod(state.cells, state.num_classes)
    wrong = np.flatnonzero(true != predicted)
    # cells are sorted by id, and a stable sort keeps that order among equal counts
    order = wrong[np.argsort(-state.cell_counts[wrong], kind="stable")][:limit]
    return [
        {
            "true": class_names[int(true[i])],
            "predicted": class_names[int(predicted[i])],
            "true_id": int(true[i]),
            "predicted_id": int(predicted[i]),
            "count": int(state.cell_counts[i]),
        }
        for i in order
    ]
