"""Confidence intervals of proportions and means."""

from __future__ import annotations

import math
from functools import cache


@cache
def normal_quantile(confidence_level: float) -> float:
    """Return the two-sided quantile z of the normal distribution.

    Raises:
        ValueError: the level is not between 0 and 1.

    Example:
        >>> round(normal_quantile(0.95), 6)
        1.959964
    """
    if not 0.0 < confidence_level < 1.0:
        raise ValueError(
            f"confidence level is {confidence_level}. Expected a number between 0 and 1."
        )
    from scipy.special import ndtri

    return float(ndtri(0.5 + confidence_level / 2))


def wilson(successes: float, trials: int, confidence_level: float = 0.95) -> list[float] | None:
    """Compute Wilson's score interval of a proportion, without continuity correction.

    Source: E. B. Wilson, Probable inference, the law of succession, and statistical inference,
    JASA 22 (1927). It stays inside [0, 1] and is usable for few trials.

    Args:
        successes: 0 to ``trials``; a fraction where trials are units such as images.
        trials: number of trials.
        confidence_level: two-sided, between 0 and 1.

    Returns:
        [low, high], or None without trials.

    Example:
        >>> [round(limit, 4) for limit in wilson(9, 10)]
        [0.5958, 0.9821]
    """
    if trials == 0:
        return None
    z = normal_quantile(confidence_level)
    proportion = successes / trials
    scale = 1.0 + z * z / trials
    centre = (proportion + z * z / (2 * trials)) / scale
    spread = proportion * (1.0 - proportion) / trials + z * z / (4 * trials * trials)
    half = z * math.sqrt(spread) / scale
    low = 0.0 if successes == 0 else max(0.0, centre - half)
    high = 1.0 if successes == trials else min(1.0, centre + half)
    return [low, high]


def mean_interval(
    total: float, squares: float, count: int, confidence_level: float = 0.95
) -> list[float] | None:
    """Compute the normal interval of a mean: mean +- z * s / sqrt(n), s with n - 1.

    Args:
        total: sum of the values.
        squares: sum of their squares.
        count: n.
        confidence_level: two-sided.

    Returns:
        [low, high], or None for fewer than two values.

    Example:
        The values 1, 2, 3 and 4:

        >>> [round(limit, 4) for limit in mean_interval(10.0, 30.0, 4)]
        [1.2348, 3.7652]
    """
    if count < 2:
        return None
    mean = total / count
    variance = max(0.0, (squares - total * mean) / (count - 1))
    half = normal_quantile(confidence_level) * math.sqrt(variance / count)
    return [mean - half, mean + half]
