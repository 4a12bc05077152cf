"""Intervals of proportions of dependent images, against the t test."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import ttest_1samp

from snellen.metrics.statistics.draws import Sampling
from snellen.metrics.statistics.intervals import wilson
from snellen.metrics.statistics.proportions import grouped_proportion

KEYS = np.repeat(np.arange(15, dtype=np.uint64), 8)
ONES = np.ones(len(KEYS))
SAMPLING = Sampling(20_000, 0.95, seed=0)


def test_groups_of_one_size_have_the_interval_of_the_t_test() -> None:
    random = np.random.default_rng(2)
    hits = (random.random((15, 8)) < random.uniform(0.3, 0.9, (15, 1))).astype(np.float64)
    expected = ttest_1samp(hits.mean(axis=1), 0.0).confidence_interval()
    found = grouped_proportion(hits.ravel(), ONES, KEYS, SAMPLING)
    assert found == pytest.approx([expected.low, expected.high], abs=0.004)


def test_a_ratio_is_as_wide_as_its_linearised_residuals() -> None:
    """The delta method: s of a ratio is that of the groups' sums of hits - ratio * trials."""
    random = np.random.default_rng(5)
    trials = (random.random(len(KEYS)) < 0.7).astype(np.float64)
    hits = trials * (random.random(len(KEYS)) < 0.8)
    ratio = hits.sum() / trials.sum()
    residuals = np.bincount(KEYS.astype(np.int64), hits - ratio * trials) * 15 / trials.sum()
    bounds = ttest_1samp(residuals, 0.0).confidence_interval()
    found = grouped_proportion(hits, trials, KEYS, SAMPLING)
    assert found is not None
    assert found[1] - found[0] == pytest.approx(bounds.high - bounds.low, rel=0.05)


def test_a_perfect_proportion_is_as_certain_as_the_groups_that_have_a_trial() -> None:
    trials = (KEYS < 6).astype(np.float64)
    assert grouped_proportion(trials, trials, KEYS, Sampling(50, 0.95, 0)) == wilson(6, 6)


@pytest.mark.parametrize("draws", [0, 1])
def test_no_interval_without_draws_or_trials(draws: int) -> None:
    assert grouped_proportion(ONES, ONES, KEYS, Sampling(draws, 0.95, 0)) is None
    assert grouped_proportion(ONES, 0 * ONES, KEYS, Sampling(50, 0.95, 0)) is None
    assert grouped_proportion(ONES[:0], ONES[:0], KEYS[:0], Sampling(50, 0.95, 0)) is None
