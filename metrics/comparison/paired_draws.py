"""Differences from paired draws of images or groups: interval and test by Student's t."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from snellen.metrics.comparison.verdict import Difference
from snellen.metrics.statistics.draws import NO_WIDTH, student_half_width, student_quantile

Floats = npt.NDArray[np.float64]
FEW_DISCORDANT = 10
"""Number of discordant images (groups) below which only the exact sign test decides."""


def difference_of_draws(
    value: float,
    draws: Floats,
    favours_b: npt.NDArray[Any],
    *,
    level: float = 0.95,
    units: int | None = None,
) -> Difference:
    """Return the difference B - A with its interval and its test.

    The interval is value +- t * s with the quantile t of Student's distribution at G - 1 degrees
    of freedom and the standard error s: the standard deviation of the draws times
    sqrt(G / (G - 1)), see `snellen.metrics.statistics.draws.student_half_width`. p is of
    value / s. (A share of the draws would have a floor of one draw, which no correction for many
    tests passes.) With fewer than 10 discordant images, or without any variation, p is that of the
    exact sign test; of runs that are equal in every draw it is 1. Where no interval is defined, as
    for one group or for a metric that no draw defines, it is infinite, and p is 1.

    Args:
        value: the difference on the set.
        draws: float64, (R,), the difference in each draw, paired: the same images in both runs.
        favours_b: float, (G,), per image or group: positive where it favours B, negative where it
            favours A, 0 where both runs are equal.
        level: two-sided.
        units: number of the images or groups that define the metric, such as those with objects of
            a class; None for all, G.

    Example:
        >>> draws = np.array([0.01, 0.03, 0.02, 0.02])
        >>> found = difference_of_draws(0.02, draws, np.array([1.0] * 15 + [-1.0] * 5))
        >>> round(found.low, 4), round(found.high, 4), round(found.p, 4)
        (0.0025, 0.0375, 0.0275)
    """
    from scipy.stats import t

    units = len(favours_b) if units is None else units
    half = student_half_width(draws, units, level)
    if half is None:
        return Difference(value, -math.inf, math.inf, 1.0)
    spread = half / student_quantile(level, units - 1)
    signs = np.sign(favours_b)
    if max(abs(value), half) < NO_WIDTH:
        p = 1.0
    elif spread == 0.0 or np.count_nonzero(signs) < FEW_DISCORDANT:
        p = sign_test(signs)
    else:
        p = float(2 * t.sf(abs(value) / spread, units - 1))
    return Difference(value, value - half, value + half, p)


def sign_test(signs: npt.NDArray[Any]) -> float:
    """Compute the exact two-sided p-value of the sign test; 1 without any sign.

    Example:
        >>> sign_test(np.array([1, 1, 1, 1, 1, 0]))
        0.0625
    """
    positive, negative = int((signs > 0).sum()), int((signs < 0).sum())
    if positive + negative == 0:
        return 1.0
    from scipy.stats import binomtest

    return float(binomtest(positive, positive + negative, 0.5).pvalue)


def sign_flip_test(sums: Floats) -> float:
    """Compute the exact two-sided p-value of a test that flips the sign of whole groups.

    Under no difference, each group favours A as likely as B. The distribution of the total over all
    flips is computed exactly, one group after another. (A share of random flips would have a floor
    of one flip, which no correction for many tests passes.) With one image in each group it is
    McNemar's test.

    Args:
        sums: float64, (G,), whole numbers: how many more images of each group are correct in B
            than in A.

    Raises:
        ValueError: a sum is no whole number.

    Example:
        >>> sign_flip_test(np.array([1.0, 1.0, 1.0]))
        0.25
    """
    whole = np.rint(sums).astype(np.int64)
    if not np.allclose(whole, sums):
        raise ValueError("sums of groups are not whole. Expected numbers of images.")
    steps = np.abs(whole[whole != 0])
    if not len(steps):
        return 1.0
    steps //= np.gcd.reduce(steps)
    reach = int(steps.sum())
    # Chances of each total from -reach to reach; they are even or odd together.
    chances = np.zeros(2 * reach + 1)
    chances[reach] = 1.0
    limit = 0
    for step in steps.tolist():
        inner = chances[reach - limit : reach + limit + 1] / 2
        limit += step
        chances[reach - limit : reach + limit + 1] = 0.0
        chances[reach - limit : reach + limit + 1 - 2 * step] += inner
        chances[reach - limit + 2 * step : reach + limit + 1] += inner
    observed = abs(int(whole.sum())) * reach // int(np.abs(whole).sum())
    return min(1.0, float(2 * chances[reach + observed :].sum())) if observed else 1.0
