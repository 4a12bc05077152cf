"""ECE by an independent formula: 15 equal, right-open bins; the last one takes 1.0."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest

from snellen.metrics.classification.calibration import expected_calibration_error, reliability_bins
from snellen.metrics.classification.state import ClassificationState, ImageArrays


def state_of(confidence: npt.ArrayLike, correct: npt.ArrayLike) -> ClassificationState:
    values, right = np.asarray(confidence), np.asarray(correct, dtype=np.int64)
    zeros = np.zeros(len(values), dtype=np.int64)
    return ClassificationState.from_arrays(
        2,
        ImageArrays(
            zeros,
            1 - right,
            zeros[:, None],
            values,
            np.ones(len(values)),
            np.zeros(len(values)),
            np.ones(len(values), dtype=bool),
        ),
    )


def reference(confidence: list[float], correct: list[bool]) -> float:
    """Image by image, without arrays: the bin of p is floor(15 p), and 14 for p = 1."""
    bins: dict[int, list[tuple[float, bool]]] = {}
    for p, right in zip(confidence, correct, strict=True):
        bins.setdefault(min(14, math.floor(p * 15)), []).append((p, right))
    error = 0.0
    for members in bins.values():
        accuracy = sum(right for _, right in members) / len(members)
        mean = math.fsum(p for p, _ in members) / len(members)
        error += len(members) / len(confidence) * abs(accuracy - mean)
    return error


@pytest.mark.parametrize("seed", range(5))
def test_ece_equals_the_reference(seed: int) -> None:
    random = np.random.default_rng(seed)
    confidence = random.beta(5, 2, 400).astype(np.float32)
    correct = random.random(400) < confidence * 0.8
    value = expected_calibration_error(state_of(confidence, correct))
    assert value == pytest.approx(reference(confidence.tolist(), correct.tolist()), abs=1e-12)


def test_ece_by_hand() -> None:
    state = state_of([0.95, 0.95, 0.5, 0.5], [1, 0, 1, 1])
    assert expected_calibration_error(state) == pytest.approx(0.5 * 0.45 + 0.5 * 0.5)


def test_bins_are_right_open_and_the_last_takes_one() -> None:
    bins = reliability_bins(state_of([0.0, 0.2, 3 / 15, 0.9999, 1.0], [1, 1, 1, 0, 1]))
    counts = {number: item["count"] for number, item in enumerate(bins) if item["count"]}
    assert counts == {0: 1, 3: 2, 14: 2}
    assert bins[14]["accuracy"] == 0.5
    assert (bins[1]["confidence"], bins[1]["accuracy"]) == (None, None)
    assert (bins[0]["low"], bins[14]["high"]) == (0.0, 1.0)


def test_without_images_there_is_no_ece() -> None:
    assert expected_calibration_error(ClassificationState.empty(2)) is None
