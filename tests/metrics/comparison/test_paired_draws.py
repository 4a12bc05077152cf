"""Differences of paired draws: Student's t, exact tests for few images, flips of groups."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy.stats import permutation_test, ttest_1samp

from snellen.metrics.comparison.paired_draws import (
    difference_of_draws,
    sign_flip_test,
    sign_test,
)
from snellen.metrics.comparison.paired_proportions import mcnemar


def test_draws_of_a_mean_give_the_paired_t_test() -> None:
    random = np.random.default_rng(1)
    differences = random.normal(0.05, 1.0, 400)
    weights = random.multinomial(400, np.full(400, 1 / 400), 20_000)
    draws = weights @ differences / 400
    found = difference_of_draws(float(differences.mean()), draws, differences)
    expected = ttest_1samp(differences, 0.0)
    low, high = expected.confidence_interval()
    assert found.p == pytest.approx(float(expected.pvalue), abs=0.01)
    assert (found.low, found.high) == pytest.approx((low, high), abs=0.003)


def test_draws_of_few_groups_give_the_t_test_of_their_means() -> None:
    differences = np.random.default_rng(3).normal(0.3, 1.0, 12)
    weights = np.random.default_rng(1).multinomial(12, np.full(12, 1 / 12), 200_000)
    found = difference_of_draws(float(differences.mean()), weights @ differences / 12, differences)
    expected = ttest_1samp(differences, 0.0)
    low, high = expected.confidence_interval()
    assert found.p == pytest.approx(float(expected.pvalue), abs=0.003)
    assert (found.low, found.high) == pytest.approx((low, high), abs=0.01)


def test_few_discordant_images_are_tested_exactly() -> None:
    favours = np.array([1.0] * 8 + [0.0] * 992)
    draws = np.random.default_rng(0).normal(0.008, 0.002, 500)
    found = difference_of_draws(0.008, draws, favours)
    assert found.p == pytest.approx(2 * 0.5**8)
    assert found.low > 0


def test_without_variation_the_interval_is_the_value() -> None:
    found = difference_of_draws(0.0, np.zeros(50), np.zeros(100))
    assert (found.low, found.high, found.p) == (0.0, 0.0, 1.0)


def test_runs_that_are_equal_in_every_draw_do_not_differ() -> None:
    """The signs are those of another metric: of a pose run, its boxes have the counts of OKS."""
    found = difference_of_draws(0.0, np.zeros(50), np.ones(100))
    assert (found.low, found.high, found.p) == (0.0, 0.0, 1.0)


def test_a_metric_that_no_draw_defines_has_no_interval() -> None:
    """The precision of a run without predictions is 0 / 0 in every draw."""
    found = difference_of_draws(-0.8, np.full(50, np.nan), -np.ones(100))
    assert (found.value, found.interval, found.p) == (-0.8, None, 1.0)


def test_draws_that_are_undefined_are_left_out() -> None:
    favours = np.repeat([1.0, -1.0], 20)
    draws = np.array([0.01, np.nan, 0.03, 0.02])
    assert difference_of_draws(0.02, draws, favours) == difference_of_draws(
        0.02, draws[[0, 2, 3]], favours
    )


def test_the_p_value_has_no_floor_of_one_draw() -> None:
    draws = np.random.default_rng(0).normal(0.5, 0.01, 200)
    assert difference_of_draws(0.5, draws, np.ones(1000)).p < 1e-12


def test_signs_are_tested_exactly() -> None:
    assert sign_test(np.array([1, 1, 1, -1, 0])) == pytest.approx(0.625)
    assert sign_test(np.zeros(3)) == 1.0


@pytest.mark.parametrize("groups", [6, 12])
def test_flips_of_few_groups_are_all_counted(groups: int) -> None:
    sums = np.rint(np.random.default_rng(2).normal(0.5, 1.0, groups) * 10)
    expected = permutation_test(
        (sums,), np.sum, permutation_type="samples", n_resamples=np.inf, alternative="two-sided"
    )
    assert sign_flip_test(sums) == pytest.approx(float(expected.pvalue), rel=0.01)


def test_flips_are_those_of_every_combination_of_signs() -> None:
    sums = np.array([2.0, -1.0, 3.0, 5.0, 4.0, -6.0, 1.0])
    observed = abs(sums.sum())
    reached = sum(
        abs(sum(sign * value for sign, value in zip(signs, sums, strict=True))) >= observed - 1e-9
        for signs in itertools.product((1, -1), repeat=len(sums))
    )
    assert sign_flip_test(sums) == pytest.approx(reached / 2 ** len(sums))


def test_flips_of_single_images_are_mcnemars_test() -> None:
    for only_a, only_b in ((0, 3), (4, 9), (30, 51), (200, 320)):
        sums = np.array([1.0] * only_b + [-1.0] * only_a + [0.0] * 7)
        assert sign_flip_test(sums) == pytest.approx(mcnemar(only_a, only_b))


def test_flips_of_many_groups_agree_with_students_test() -> None:
    sums = np.rint(np.random.default_rng(3).normal(0.4, 1.0, 50) * 100)
    expected = float(ttest_1samp(sums, 0.0).pvalue)
    assert sign_flip_test(sums) == pytest.approx(expected, abs=0.01)


def test_the_p_value_of_flips_has_no_floor() -> None:
    assert sign_flip_test(np.full(200, 3.0)) == pytest.approx(2 * 0.5**200)
    assert sign_flip_test(np.zeros(4)) == 1.0
    with pytest.raises(ValueError, match="not whole"):
        sign_flip_test(np.array([0.5]))
