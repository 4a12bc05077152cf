"""The difference of a slice from the other images against Welch's test and against simulations."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import fisher_exact, ttest_1samp, ttest_ind

from snellen.metrics.comparison.slice_difference import slice_difference
from snellen.metrics.statistics.draws import Blocks, blocks_of_images


def test_independent_images_give_welchs_test() -> None:
    random = np.random.default_rng(0)
    values = np.concatenate([random.normal(1.0, 2.0, 400), random.normal(0.7, 1.0, 400)])
    inside = np.arange(800) < 400
    found = slice_difference(values, inside, blocks_of_images(800))
    expected = ttest_ind(values[inside], values[~inside], equal_var=False)
    low, high = expected.confidence_interval()
    assert found is not None
    assert found.value == pytest.approx(values[inside].mean() - values[~inside].mean())
    assert found.p == pytest.approx(float(expected.pvalue), rel=0.05)
    assert (found.low, found.high) == pytest.approx((low, high), abs=0.003)


def test_against_zero_it_is_the_t_test_of_the_slice() -> None:
    values = np.random.default_rng(1).normal(0.2, 1.0, 300)
    found = slice_difference(
        values, np.ones(300, np.bool_), blocks_of_images(300), against_rest=False
    )
    assert found is not None
    expected = ttest_1samp(values, 0.0)
    assert found.p == pytest.approx(float(expected.pvalue), rel=0.02)


@pytest.mark.parametrize("groups", [12, 40])
def test_dependent_images_are_called_different_as_often_as_they_should(groups: int) -> None:
    random = np.random.default_rng(2)
    called = {"grouped": 0, "alone": 0}
    for _ in range(400):
        of_image = random.integers(0, groups, 240)
        values = random.normal(0, 1, groups)[of_image] + random.normal(0, 0.5, 240)
        inside = of_image < groups // 2
        blocks = Blocks(of_image, groups, groups)
        for name, units in (("grouped", blocks), ("alone", blocks_of_images(240))):
            found = slice_difference(values, inside, units)
            assert found is not None
            called[name] += found.p < 0.05
    assert called["grouped"] / 400 < 0.10
    assert called["alone"] / 400 > 0.3


def test_without_variation_the_test_is_exact() -> None:
    inside = np.arange(30) < 10
    found = slice_difference(inside.astype(float), inside, blocks_of_images(30))
    assert found is not None
    assert found.p == pytest.approx(float(fisher_exact([[10, 0], [0, 20]]).pvalue))
    same = slice_difference(np.ones(30), inside, blocks_of_images(30))
    assert same is not None
    assert (same.value, same.p) == (0.0, 1.0)
    alone = slice_difference(
        np.ones(5), np.ones(5, np.bool_), blocks_of_images(5), against_rest=False
    )
    assert alone is not None
    assert alone.p == 2 * 0.5**5


def test_no_slice_or_no_rest_has_no_difference() -> None:
    values, blocks = np.ones(4), blocks_of_images(4)
    assert slice_difference(values, np.zeros(4, np.bool_), blocks) is None
    assert slice_difference(values, np.ones(4, np.bool_), blocks) is None
    assert slice_difference(values[:1], np.ones(1, np.bool_), blocks_of_images(1)) is None
