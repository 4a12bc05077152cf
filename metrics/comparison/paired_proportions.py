"""The difference of two proportions on the same images: McNemar's test and Tango's interval."""

from __future__ import annotations

import math

from snellen.metrics.statistics.intervals import normal_quantile

_ENOUGH = 1e-12
"""Width of the bracket in which a limit of the interval is known."""


def mcnemar(only_a: int, only_b: int) -> float:
    """Compute the exact two-sided p-value of McNemar's test.

    Source: Q. McNemar, Psychometrika 12 (1947); exact by the binomial distribution of the
    discordant images, each of which is correct in one run only.

    Args:
        only_a: number of images that are correct in A only.
        only_b: number of images that are correct in B only.

    Returns:
        p in [0, 1]; 1 without discordant images.

    Example:
        >>> round(mcnemar(1, 9), 6)
        0.021484
    """
    discordant = only_a + only_b
    if discordant == 0:
        return 1.0
    from scipy.stats import binomtest

    return float(binomtest(only_b, discordant, 0.5).pvalue)


def tango(only_a: int, only_b: int, images: int, level: float = 0.95) -> list[float]:
    """Compute Tango's score interval of the difference B - A of two paired proportions.

    Source: T. Tango, Equivalence test and confidence interval for the difference in proportions
    for the paired-sample design, Statistics in Medicine 17 (1998). It covers well for few
    discordant images too, and is not empty without any.

    Args:
        only_a, only_b: as for `mcnemar`.
        images: number of images, n.
        level: two-sided.

    Returns:
        [low, high] within [-1, 1].

    Raises:
        ValueError: no images, or more discordant images than images.

    Example:
        >>> [round(limit, 4) for limit in tango(1, 9, 100)]
        [0.0226, 0.1541]
    """
    if images < 1 or only_a < 0 or only_b < 0 or only_a + only_b > images:
        raise ValueError(
            f"{only_a} and {only_b} discordant of {images} images. Expected no more than all."
        )
    z = normal_quantile(level)
    observed = (only_b - only_a) / images

    def excess(difference: float) -> float:
        return _score(only_a, only_b, images, difference) - z * z

    return [
        _limit(excess, observed, -1.0),
        _limit(excess, observed, 1.0),
    ]


def _score(only_a: int, only_b: int, images: int, difference: float) -> float:
    """Compute the squared score statistic at a difference."""
    residual = only_b - only_a - images * difference
    if residual == 0:
        return 0.0
    # The larger root of A q^2 + B q + C = 0: the proportion of A only at this difference.
    a = 2 * images
    b = -only_b - only_a + (2 * images - only_b + only_a) * difference
    c = -only_a * difference * (1 - difference)
    q = (math.sqrt(max(0.0, b * b - 4 * a * c)) - b) / (2 * a)
    variance = images * (2 * q + difference * (1 - difference))
    return residual * residual / variance if variance > 0 else math.inf


def _limit(excess: object, inside: float, outside: float) -> float:
    """Find the difference between ``inside`` and ``outside`` at which the score reaches z^2."""
    assert callable(excess)
    if excess(outside) <= 0:
        return outside
    near, far = inside, outside
    while abs(far - near) > _ENOUGH:
        middle = (near + far) / 2
        near, far = (middle, far) if excess(middle) <= 0 else (near, middle)
    return (near + far) / 2
