"""Verdicts: what an interval of a difference allows to say, and how many images would settle it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

POWER_FACTOR = 1.43
"""(1.960 + 0.842) / 1.960: a difference of so many half widths is found with a power of 80 %."""

ALPHA = 0.05
"""Level of the tests."""


class Verdict(StrEnum):
    """The verdict about B - A."""

    BETTER = "better"
    WORSE = "worse"
    EQUIVALENT = "equivalent"
    NOT_WORSE = "not_worse"
    NOT_SETTLED = "not_settled"


@dataclass(frozen=True, slots=True)
class Difference:
    """The difference B - A of a metric with its interval.

    Attributes:
        value: the difference.
        low, high: the interval; equal to the value without any variation, infinite where one unit
            alone says nothing about it.
        p: of the test against no difference.
    """

    value: float
    low: float
    high: float
    p: float

    @property
    def interval(self) -> tuple[float, float] | None:
        """The interval; None where it is infinite, so that nothing is known."""
        return (self.low, self.high) if math.isfinite(self.high - self.low) else None

    @property
    def half_width(self) -> float:
        """Half of the width of the interval."""
        return (self.high - self.low) / 2

    @property
    def detectable(self) -> float:
        """Smallest difference that as many images find with a power of 80 %.

        Example:
            >>> round(Difference(0.01, -0.01, 0.03, 0.3).detectable, 4)
            0.0286
        """
        return POWER_FACTOR * self.half_width


def verdict_of(
    difference: Difference, tolerance: float = 0.0, *, alpha: float = ALPHA, q: float | None = None
) -> Verdict:
    """Return the verdict about a difference.

    In this order: better, the interval lies above 0; worse, it lies below -tolerance; equivalent,
    it lies within +-tolerance; not worse, its lower end is at least -tolerance; otherwise not
    settled. Better and worse need the test as well. If it disagrees with an interval above 0, a
    tolerance decides whether B is not worse, because the test is about 0, not about -tolerance;
    without one the difference is not settled.

    Args:
        difference: B - A.
        tolerance: loss that is accepted, at least 0.
        alpha: level of the test.
        q: p-value corrected for the rows of its family; None without a correction.

    Example:
        >>> verdict_of(Difference(0.02, 0.01, 0.03, 0.001)).value
        'better'
        >>> verdict_of(Difference(0.02, 0.01, 0.03, 0.001), q=0.2).value
        'not_settled'
        >>> verdict_of(Difference(0.02, 0.01, 0.03, 0.08), 0.005).value
        'not_worse'
        >>> verdict_of(Difference(0.0, -0.01, 0.01, 0.9), 0.02).value
        'equivalent'
    """
    low, high = difference.low, difference.high
    significant = difference.p < alpha and (q is None or q < alpha)
    if low > 0 and (significant or tolerance == 0):
        return Verdict.BETTER if significant else Verdict.NOT_SETTLED
    if high < -tolerance:
        return Verdict.WORSE if significant else Verdict.NOT_SETTLED
    if low >= -tolerance and high <= tolerance:
        return Verdict.EQUIVALENT
    return Verdict.NOT_WORSE if low >= -tolerance else Verdict.NOT_SETTLED


def images_needed(difference: Difference, units: int, tolerance: float = 0.0) -> int | None:
    """Estimate the number of further images that settle a difference with a power of 80 %.

    The interval shrinks with the square root of the images; the true difference is taken to be
    the observed one.

    Args:
        difference: B - A, not settled.
        units: number of images, or of groups of dependent images, n.
        tolerance: as in `verdict_of`.

    Returns:
        Further images (groups); None where the difference equals -tolerance, which no number of
        images settles, and where nothing is known of its interval.

    Example:
        >>> images_needed(Difference(0.01, -0.01, 0.03, 0.3), 1000)
        7180
    """
    distance = abs(difference.value + tolerance)
    if distance == 0 or difference.interval is None:
        return None
    ratio = POWER_FACTOR * difference.half_width / distance
    return max(0, math.ceil(units * (ratio * ratio - 1)))
