"""The confusion matrix of a classifier and its per-class metrics."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from snellen.metrics.classification.state import ClassificationState
from snellen.metrics.statistics.intervals import wilson

DENSE_CLASSES = 1000
"""Maximum number of classes of a confusion matrix that is a list of lists."""


def class_counts(
    state: ClassificationState,
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Count labels, predictions and correct predictions by class.

    Returns:
        support, predicted, correct: int64, (K,) each.

    Example:
        >>> from snellen.metrics.classification.tables import classification_state
        >>> from snellen.metrics.examples import classification_rows
        >>> state = classification_state(classification_rows(), 2)
        >>> [counts.tolist() for counts in class_counts(state)]
        [[2, 2], [1, 3], [1, 2]]
    """
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
    """Make class names unique: a name that several classes share gets its id.

    Example:
        >>> unique_names(["crane", "owl", "crane"])
        ['crane [0]', 'owl', 'crane [2]']
    """
    shared = {name for name, count in Counter(class_names).items() if count > 1}
    return [f"{name} [{i}]" if name in shared else name for i, name in enumerate(class_names)]


def per_class(
    state: ClassificationState, class_names: Sequence[str], confidence_level: float
) -> dict[str, dict[str, Any]]:
    """Compute precision, recall, F1 and counts by class name.

    The definitions are those of `snellen.metrics.classification.metrics.compute`.

    Args:
        state: of the whole set.
        class_names: K names.
        confidence_level: of Wilson's intervals, two-sided.

    Example:
        >>> from snellen.metrics.classification.tables import classification_state
        >>> from snellen.metrics.examples import classification_rows
        >>> state = classification_state(classification_rows(), 2)
        >>> found = per_class(state, ["cat", "dog"], 0.95)["cat"]
        >>> found["precision"], found["recall"], found["support"]
        (1.0, 0.5, 2)
    """
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
    """Return the confusion matrix, rows true, columns predicted; see `matrix`.

    Example:
        >>> from snellen.metrics.classification.tables import classification_state
        >>> from snellen.metrics.examples import classification_rows
        >>> state = classification_state(classification_rows(), 2)
        >>> confusion_matrix(state)
        [[1, 1], [0, 2]]
    """
    return matrix(state.num_classes, state.cells, state.cell_counts)


def matrix(
    size: int, cells: npt.NDArray[np.int64], counts: npt.NDArray[np.int64]
) -> list[list[int]] | dict[str, Any]:
    """Build a square matrix from its cells that are not zero.

    Args:
        size: number of rows and columns.
        cells: int64, (n,), ``row * size + column``.
        counts: int64, (n,).

    Returns:
        A list of ``size`` lists of integers up to `DENSE_CLASSES`, above that only the cells that
        are not zero: ``{"format": "coo", "shape": [size, size], "rows": [...], "cols": [...],
        "counts": [...]}``.

    Example:
        >>> matrix(2, np.array([0, 3]), np.array([5, 7]))
        [[5, 0], [0, 7]]
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
    """List the most frequent mistakes, falling; equal ones by class id.

    Returns:
        Dicts of true, predicted (names), true_id, predicted_id and count.

    Example:
        >>> from snellen.metrics.classification.tables import classification_state
        >>> from snellen.metrics.examples import classification_rows
        >>> state = classification_state(classification_rows(), 2)
        >>> most_confused(state, ["cat", "dog"])[0]["predicted"]
        'dog'
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
