"""Metrics of some classes only are pycocotools' with ``params.catIds``."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from snellen.metrics.detection.metrics import DetectionReport
from snellen.metrics.detection.options import options_of
from snellen.metrics.errors.listing import confusion_listing, tide_listing
from snellen.metrics.tasks import load
from tests.metrics.classification.examples import EXACT
from tests.metrics.detection.examples import (
    TASK,
    coco_stats,
    draw,
    found,
    keys,
    row,
    table,
    truth,
)

CLASSES = 3


def restricted(
    rows: list[dict[str, Any]], task: str, count: int, chosen: list[str]
) -> DetectionReport:
    names = [f"class-{i}" for i in range(count)]
    metrics = load(task, bootstrap=0, classes=chosen)
    state = metrics.state(table(rows), names)
    result: DetectionReport = metrics.compute(state, names, total_images=len(rows), failed_images=0)
    return result


@pytest.mark.parametrize("chosen", [[0], [1, 2], [0, 1, 2]], ids=str)
@pytest.mark.parametrize("kind", ["bbox", "segm", "keypoints"])
def test_random_sets_equal_pycocotools(kind: str, chosen: list[int]) -> None:
    compared = 0
    for seed in range(12):
        rows = draw(seed, kind, points=17)
        names = [f"class-{i}" for i in chosen]
        result = restricted(rows, TASK[kind], CLASSES, names)
        for measured in dict.fromkeys(("bbox", kind)):
            theirs = coco_stats(rows, measured, CLASSES, cat_ids=chosen)
            if theirs is None:
                continue
            for key, value in zip(keys(measured), theirs.stats.tolist(), strict=True):
                expected = None if value == -1 else pytest.approx(value, abs=EXACT)
                assert result.metrics[key] == expected, (seed, key)
                compared += value != -1
        assert set(result.per_class) == set(names)
        for curve in ("pr_curve", "f1_curve"):
            assert set(result.details[curve]["classes"]) == set(names)
        others = sum(box["class_id"] not in chosen for r in rows for box in r["true_boxes"])
        assert result.details["classes"] == {"names": names, "excluded_objects": others}
        assert result.scored_images == len(rows)
    assert compared > 50


def mixed() -> list[dict[str, Any]]:
    """Three images: one with both classes, one with the other class alone, one empty."""
    both = [truth(0, 0, 0, 10, 10), truth(1, 20, 20, 40, 40)]
    confused = [found(0, 0, 0, 10, 10), found(0, 20, 20, 40, 40)]
    return [
        row(0, both, confused),
        row(1, [truth(1, 0, 0, 10, 10)], [found(1, 0, 0, 10, 10)]),
        row(2, [], [found(0, 5, 5, 9, 9, confidence=0.5)]),
    ]


def test_images_without_the_class_are_background() -> None:
    result = restricted(mixed(), TASK["bbox"], 2, ["class-0"])
    assert result.confusion_matrix == [[1, 0, 0], [0, 0, 0], [2, 0, 0]]
    assert result.metrics["precision"] == pytest.approx(1 / 3)
    assert result.metrics["recall"] == 1.0
    assert result.metrics["coverage"] == 1.0
    assert result.details["classes"]["excluded_objects"] == 2


def test_the_errors_are_those_of_the_matrix() -> None:
    options = options_of(["bbox"], class_ids=(0,))
    cells = confusion_listing(table(mixed()), 2, options)
    assert cells.true_class.tolist() == [0, -1, -1]
    assert cells.predicted_class.tolist() == [0, 0, 0]
    errors = tide_listing(table(mixed()), 2, options)
    assert len(errors.image) == 2
    assert np.isin(errors.predicted_class, [0]).all()
