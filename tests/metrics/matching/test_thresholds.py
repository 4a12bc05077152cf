"""Counts with a threshold per class equal those of the classes one by one."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest

from snellen.metrics.matching.overlaps import Kind
from snellen.metrics.matching.thresholds import Thresholds
from tests.metrics.detection.examples import TASK, draw, report

CLASSES = 3
KINDS: tuple[Kind, ...] = get_args(Kind)
NAMES = [f"class-{number}" for number in range(CLASSES)]
LIMITS = {"default": 0.4, "class-1": 0.7}


@pytest.mark.parametrize("kind", KINDS)
def test_pooled_counts_are_the_sums_of_the_classes(kind: Kind) -> None:
    rows = [row for seed in range(4) for row in draw(seed, kind, images=5, classes=CLASSES)]
    for index, row in enumerate(rows):
        row["image_index"] = index
    options = {"operating_confidence": LIMITS, "bootstrap": 0}
    both = report(rows, TASK[kind], CLASSES, **options)
    tp = fp = fn = 0
    for number, name in enumerate(NAMES):
        limit = LIMITS.get(name, LIMITS["default"])
        alone = report(rows, TASK[kind], CLASSES, operating_confidence=limit, bootstrap=0)
        values = alone.per_class[name]
        assert both.per_class[name] == values
        tp, fp, fn = tp + values["tp"], fp + values["fp"], fn + values["fn"]
        # the diagonal of the matrix counts true positives
        assert np.asarray(both.confusion_matrix)[number][number] == values["tp"]
    assert tp and fp and fn
    assert both.metrics["precision"] == tp / (tp + fp)
    assert both.metrics["recall"] == tp / (tp + fn)
    assert both.metrics["f1"] == 2 * tp / (2 * tp + fp + fn)


def test_confidences_are_compared_in_single_precision() -> None:
    stored = np.array([0.1, 0.3, 0.3], dtype=np.float32)
    thresholds = Thresholds(0.3, ((1, 0.1),))
    assert thresholds.reached(np.array([1, 0, 2]), stored).all()
    assert not thresholds.reached(np.array([0]), stored[:1]).any()


def test_equal_thresholds_are_equal_objects() -> None:
    names = ["cat", "dog"]
    assert Thresholds.of({"default": 0.5, "dog": 0.5}, names) == Thresholds.of(0.5, names)
    assert Thresholds.of({"dog": 0.5}, names) == Thresholds(0.25, ((1, 0.5),))
