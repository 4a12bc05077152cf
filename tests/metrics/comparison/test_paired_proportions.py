"""McNemar's test against scipy, Tango's interval against its definition."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from scipy.stats import binom

from snellen.metrics.comparison.paired_proportions import mcnemar, tango


def restricted_score(only_a: int, only_b: int, n: int, difference: float) -> float:
    """The score statistic at the maximum of the likelihood under p_b - p_a = difference."""
    low, high = max(0.0, -difference), (1 - difference) / 2

    def loss(p_a: float) -> float:
        p_b, rest = p_a + difference, 1 - 2 * p_a - difference
        terms = ((only_a, p_a), (only_b, p_b), (n - only_a - only_b, rest))
        return -sum(count * math.log(max(p, 1e-300)) for count, p in terms if count)

    p_a = minimize_scalar(loss, bounds=(low, high), method="bounded", options={"xatol": 1e-13}).x
    variance = n * (2 * p_a + difference - difference**2)
    return float((only_b - only_a - n * difference) / math.sqrt(variance))


@pytest.mark.parametrize(
    ("only_a", "only_b", "n"), [(1, 9, 100), (0, 5, 40), (12, 30, 500), (3, 3, 50), (7, 0, 20)]
)
def test_tango_inverts_the_score_test(only_a: int, only_b: int, n: int) -> None:
    for limit, sign in zip(tango(only_a, only_b, n), (1, -1), strict=True):
        found = restricted_score(only_a, only_b, n, limit)
        assert found == pytest.approx(sign * 1.959964, abs=2e-3)


def test_tango_of_swapped_runs_is_mirrored() -> None:
    low, high = tango(3, 11, 200)
    assert tango(11, 3, 200) == pytest.approx([-high, -low], abs=1e-9)


def test_tango_without_discordant_images_is_not_empty() -> None:
    low, high = tango(0, 0, 100)
    assert low == pytest.approx(-high, abs=1e-9)
    assert 0.02 < high < 0.05


def test_tango_covers() -> None:
    random = np.random.default_rng(0)
    truth, inside = 0.05, 0
    for a, b, _ in random.multinomial(80, [0.05, 0.10, 0.85], 1000).tolist():
        low, high = tango(a, b, 80)
        inside += low <= truth <= high
    assert 930 <= inside <= 970


@pytest.mark.parametrize(("only_a", "only_b"), [(0, 0), (1, 9), (5, 5), (0, 12), (40, 20)])
def test_mcnemar_is_the_exact_binomial_test(only_a: int, only_b: int) -> None:
    n, k = only_a + only_b, min(only_a, only_b)
    expected = min(1.0, 2 * float(binom.cdf(k, n, 0.5))) if n else 1.0
    assert mcnemar(only_a, only_b) == pytest.approx(expected)


@pytest.mark.parametrize("counts", [(0, 0, 0), (3, 3, 5), (-1, 2, 5)])
def test_impossible_counts_are_rejected(counts: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match="discordant"):
        tango(*counts)
