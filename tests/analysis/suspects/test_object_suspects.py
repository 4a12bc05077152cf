"""Suspect labels of objects: planted label errors rank first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from snellen.analysis.suspects.object_suspects import Objects, iou, object_suspects
from snellen.analysis.suspects.suspect import Suspect

NAMES = ("cat", "dog")
ROW = {"image_id": "a.png", "image_index": 3, "width": 100, "height": 100}
CAT, DOG = (10.0, 10.0, 40.0, 40.0), (60.0, 60.0, 90.0, 90.0)


def objects(*found: tuple[int, Sequence[float], float], **more: Any) -> Objects:
    """Boxes with class and confidence."""
    keys = ("x1", "y1", "x2", "y2")
    rows = [
        {"class_id": k, **dict(zip(keys, box, strict=True)), "confidence": c, **more}
        for k, box, c in found
    ]
    return Objects.of(rows, NAMES)


def search(truth: Objects, *runs: Objects, least: float = 0.5) -> list[Suspect]:
    return list(object_suspects(ROW, truth, runs, least))


def test_labels_that_the_runs_confirm_are_not_suspect() -> None:
    truth = objects((0, CAT, 1), (1, DOG, 1))
    assert (
        search(truth, objects((0, CAT, 0.9), (1, DOG, 0.6)), objects((0, CAT, 0.8), (1, DOG, 0.7)))
        == []
    )


def test_a_class_that_every_run_denies() -> None:
    truth = objects((1, CAT, 1))
    (found,) = search(truth, objects((0, CAT, 0.9)), objects((0, CAT, 0.7)))
    assert found == Suspect("wrong_class", 0.7, "a.png", 3, "dog", "cat", CAT, 0)
    # one run agrees with the label, or is not confident enough
    assert search(truth, objects((0, CAT, 0.9)), objects((1, CAT, 0.8))) == []
    assert search(truth, objects((0, CAT, 0.9)), objects((0, CAT, 0.4))) == []
    assert search(truth, objects((0, CAT, 0.9), (1, CAT, 0.6)), objects((0, CAT, 0.7))) == []


def test_an_object_that_is_not_labelled() -> None:
    truth = objects((0, CAT, 1))
    both = (0, CAT, 0.9)
    (found,) = search(truth, objects(both, (1, DOG, 0.8)), objects(both, (1, DOG, 0.95)))
    assert (found.kind, found.score, found.box) == ("missing_label", 0.8, DOG)
    assert (found.true_label, found.predicted_label, found.true_index) == (None, "dog", None)
    assert search(truth, objects(both, (1, DOG, 0.8)), objects(both)) == []
    assert search(truth, objects(both, (1, DOG, 0.8)), objects(both, (0, DOG, 0.8))) == []


def test_a_label_that_no_run_sees() -> None:
    truth = objects((0, CAT, 1), (1, (60, 60, 62, 62), 1))
    large, small = search(truth, objects(), objects())
    assert (large.kind, large.true_label, large.score) == ("unseen_label", "cat", 1.0)
    assert small.true_label == "dog"
    assert small.score == pytest.approx(0.1)  # 2 of 100 pixels
    faint = objects((1, CAT, 0.05))
    (seen, _) = search(truth, faint, objects())
    assert seen.score == pytest.approx(0.95)
    assert [one.true_label for one in search(truth, objects((1, CAT, 0.2)), objects())] == ["dog"]


def test_crowds_and_ignored_objects_are_neither_denied_nor_expected() -> None:
    for mark in ("is_crowd", "ignore"):
        truth = objects((0, CAT, 1), **{mark: True})
        assert search(truth, objects((1, CAT, 0.9)), objects((1, CAT, 0.9))) == []
        assert search(truth, objects(), objects()) == []


def test_overlaps() -> None:
    boxes = np.array([[0, 0, 10, 10], [0, 0, 5, 10], [20, 20, 30, 30], [5, 5, 5, 5]], float)
    expected = np.array([[1, 0.5, 0, 0], [0.5, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 0]])
    np.testing.assert_allclose(iou(boxes, boxes), expected)
    assert iou(boxes, np.empty((0, 4))).shape == (4, 0)
