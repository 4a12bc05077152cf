"""Intervals equal scipy's."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from snellen.metrics.statistics.intervals import mean_interval, wilson


@pytest.mark.parametrize("level", [0.8, 0.95, 0.99])
@pytest.mark.parametrize(("hits", "trials"), [(0, 5), (5, 5), (1, 3), (370, 500), (1, 100_000)])
def test_wilson_is_scipys(hits: int, trials: int, level: float) -> None:
    expected = stats.binomtest(hits, trials).proportion_ci(level, method="wilson")
    assert wilson(hits, trials, level) == pytest.approx([expected.low, expected.high], abs=1e-12)


def test_without_trials_there_is_no_interval() -> None:
    assert wilson(0, 0) is None
    assert mean_interval(1.0, 1.0, 1) is None


def test_the_interval_of_a_mean_is_scipys() -> None:
    values = np.random.default_rng(1).exponential(size=200)
    expected = stats.norm.interval(0.95, loc=values.mean(), scale=stats.sem(values))
    found = mean_interval(values.sum(), (values**2).sum(), len(values))
    assert found == pytest.approx(list(expected), abs=1e-12)


def test_equal_values_have_an_interval_of_no_width() -> None:
    assert mean_interval(0.3, 0.03, 3) == pytest.approx([0.1, 0.1])


@pytest.mark.parametrize("level", [0.0, 1.0, 95])
def test_a_level_is_a_proportion(level: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        wilson(1, 2, level)
