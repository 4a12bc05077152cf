"""Contributions of images to AP against finite differences of a weighted AP."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.metrics import precision_recall_curve

from snellen.metrics.comparison.contributions import (
    mean_precision_contributions,
    prediction_contributions,
)
from snellen.metrics.tasks import load
from tests.metrics.detection.examples import TASK, draw, table

CLASSES = 3


def area(right: Any, weights: Any, support: int) -> float:
    """The area under the interpolated curve, with weighted predictions."""
    confidence = np.arange(len(right), 0, -1.0)
    precision, recall, _ = precision_recall_curve(right, confidence, sample_weight=weights)
    best = np.maximum.accumulate(precision[:-1])  # scikit-learn's recalls fall
    found = float((right * weights).sum())
    return float(-(np.diff(recall) * best).sum()) * found / support


@pytest.mark.parametrize("seed", range(8))
def test_contributions_are_derivatives_of_the_area(seed: int) -> None:
    random = np.random.default_rng(seed)
    right = random.random(40) < random.uniform(0.2, 0.9)
    right[random.integers(40)] = True
    found = prediction_contributions(right, 50)
    step = 1e-6
    for place in range(40):
        up, down = np.ones(40), np.ones(40)
        up[place] += step
        down[place] -= step
        slope = (area(right, up, 50) - area(right, down, 50)) / (2 * step)
        # Where two precisions are equal, the derivatives from either side differ.
        ahead = (area(right, up, 50) - area(right, np.ones(40), 50)) / step
        assert min(abs(found[place] - slope), abs(found[place] - ahead)) < 1e-6, place
    assert found.sum() == pytest.approx(area(right, np.ones(40), 50))


@pytest.mark.parametrize("kind", TASK)
def test_the_contributions_of_images_sum_to_the_mean_precision(kind: str) -> None:
    rows = [one for one in draw(2, kind, images=25) if one["status"] == "ok"]
    metrics = load(TASK[kind], bootstrap=0)
    names = [str(number) for number in range(CLASSES)]
    state = metrics.state(table(rows), names)
    overlap = state.overlaps[kind].by_image()
    found = mean_precision_contributions(overlap, CLASSES)
    report = metrics.compute(state, names, total_images=len(rows), failed_images=0)
    # 101 recalls instead of all of them: a few hundredths on 25 images
    assert found.sum() == pytest.approx(report.primary_metric_value, abs=0.03)
    empty = [
        place
        for place, index in enumerate(overlap.images.tolist())
        if not any(one["predicted_boxes"] for one in rows if one["image_index"] == index)
    ]
    assert all(found[place] == 0 for place in empty)


def test_without_correct_predictions_nothing_contributes() -> None:
    assert prediction_contributions(np.array([False, False]), 3).tolist() == [0.0, 0.0]
    assert prediction_contributions(np.zeros(0, np.bool_), 3).tolist() == []
