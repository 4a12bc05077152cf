"""Differences from paired draws of images or groups: interval and test by Student's t."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from snellen.metrics.comparison.verdict import Difference
from snellen.metrics.statistics.draws import student_half_width, student_quantile

Floats = npt.NDArray[np.float64]
FEW_DISCORDANT = 10
"""Number of discordant images (groups) below which only the exact sign test decides."""


def difference_of_draws(
    value: float, draws: Floats, favours_b: npt.NDArray[Any], *, level: float = 0.95
) -> Difference:
    """Return the difference B - A with its interval and its test.

    The interval is value +- t * s with the quantile t of Student's distribution at G - 1 degrees
    of freedom and the standard error s: the standard deviation of the draws times
    sqrt(G / (G - 1)), see `snellen.metrics.statistics.draws.student_half_width`. p is of
    value / s. (A share of the draws would have a floor of one draw, which no correction for many
    tests passes.) With fewer than 10 discordant images, or without any variation, p is that of the
    exact sign test.

    Args:
        value: the difference on the set.
        draws: float64, (R,), the difference in each draw, paired: the same images in both runs.
        favours_b: float, (G,), per image or group: positive where it favours B, negative where it
            favours A, 0 where both runs are equal.
        level: two-sided.

    Example:
        >>> draws = np.array([0.01, 0.03, 0.02, 0.02])
        >>> found = difference_of_draws(0.02, draws, np.array([1.0] * 15 + [-1.0] * 5))
        >>> round(found.low, 4), round(found.high, 4), round(found.p, 4)
        (0.0025, 0.0375, 0.0275)
    """
    from scipy.stats import t

    units = len(favours_b)
    half = student_half_width(draws, units, level)
    spread = 0.0 if half is None else half / student_quantile(level, units - 1)
    if half is None:
        half = float("inf") if units < 2 else 0.0
    signs = np.sign(favours_b)
    if spread == 0.0 or np.count_nonzero(signs) < FEW_DISCORDANT:
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


def sign_flip_test(sums: Floats, *, draws: int = 9_999, seed: int = 0) -> float:
    """Compute the two-sided p-value of a test that flips the sign of whole groups.

    Under no difference, each group favours A as likely as B. Up to 13 groups all flips are
    counted; otherwise random ones.

    Args:
        sums: float64, (G,), the sum of the differences B - A of the images in each group.
        draws: number of random flips.
        seed: of the flips.

    Example:
        >>> sign_flip_test(np.array([1.0, 1.0, 1.0]))
        0.25
    """
    groups = sums[sums != 0]
    if not len(groups):
        return 1.0
    observed = abs(float(groups.sum())) * (1 - 1e-12)
    if len(groups) <= _EXACT_GROUPS:
        flips = 1 - 2 * (np.arange(2 ** len(groups))[:, None] >> np.arange(len(groups)) & 1)
        return float((np.abs(flips @ groups) >= observed).mean())
    random = np.random.default_rng(seed)
    reached = 1  # the observed signs are one of the flips
    for start in range(0, draws, _CHUNK):
        flips = 1 - 2 * random.integers(0, 2, (min(_CHUNK, draws - start), len(groups)))
        reached += int((np.abs(flips @ groups) >= observed).sum())
    return reached / (draws + 1)


_EXACT_GROUPS = 13
_CHUNK = 256
