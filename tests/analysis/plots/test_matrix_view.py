"""The shown part of a confusion matrix."""

from __future__ import annotations

import numpy as np
import pytest

from snellen.analysis.plots.matrix_view import matrix_view
from snellen.metrics.classification.confusion import matrix

NAMES = ["cat", "dog"]


def test_shares_are_of_the_row_and_kinds_follow_the_place() -> None:
    view = matrix_view([[8, 1, 1], [0, 3, 1], [5, 0, 0]], NAMES)
    assert view is not None
    assert view.true == ["cat", "dog", "background"]
    assert view.predicted == ["cat", "dog", "missed"]
    kinds = [[cell.kind for cell in row] for row in view.rows]
    assert kinds == [
        ["ok", "confused", "miss"],
        ["confused", "ok", "miss"],
        ["confused", "confused", "confused"],
    ]
    assert [cell.share for cell in view.rows[0]] == [0.8, 0.1, 0.1]
    assert [cell.count for cell in view.rows[2]] == [5, 0, 0]
    assert [cell.share for cell in view.rows[2]] == [0.0, 0.0, 0.0]
    assert view.hidden == 0


def test_of_many_classes_the_most_confused_are_shown() -> None:
    counts = np.diag(np.full(40, 20))
    counts[3, 31], counts[31, 3], counts[7, 8], counts[20, 21] = 9, 2, 5, 1
    view = matrix_view(counts.tolist(), [f"c{n}" for n in range(40)], limit=4)
    assert view is not None
    assert view.true == view.predicted == ["c3", "c7", "c8", "c31"]
    assert view.hidden == 36
    assert view.rows[0][3].count == 9
    assert view.rows[0][3].share == pytest.approx(9 / 29)  # of the whole row


def test_a_sparse_matrix_is_shown_like_a_dense_one() -> None:
    size = 1001
    cells = np.array([0, 5, 5 * size, 5 * size + 5, 900 * size + 3])
    sparse = matrix(size, cells, np.array([4, 2, 3, 7, 1]))
    assert isinstance(sparse, dict)
    dense = np.zeros((size, size), int)
    dense[[0, 0, 5, 5, 900], [0, 5, 0, 5, 3]] = [4, 2, 3, 7, 1]
    names = [f"c{n}" for n in range(size)]
    assert matrix_view(sparse, names, 4) == matrix_view(dense.tolist(), names, 4)


def test_the_shade_rises_with_the_share() -> None:
    view = matrix_view([[90, 10, 0], [1, 98, 1], [50, 0, 50]], ["a", "b", "c"])
    assert view is not None
    assert [[cell.step for cell in row] for row in view.rows] == [[9, 3, 0], [1, 9, 1], [7, 0, 5]]


@pytest.mark.parametrize("stored", [None, []])
def test_no_matrix_no_view(stored: list[int] | None) -> None:
    assert matrix_view(stored, NAMES) is None
