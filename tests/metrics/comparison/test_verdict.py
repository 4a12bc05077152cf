"""Verdicts in their order, and the number of images that settles a difference."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snellen.metrics.comparison.verdict import (
    POWER_FACTOR,
    Difference,
    Verdict,
    images_needed,
    verdict_of,
)


def interval(low: float, high: float, p: float = 0.01) -> Difference:
    return Difference((low + high) / 2, low, high, p)


@pytest.mark.parametrize(
    ("low", "high", "tolerance", "expected"),
    [
        (0.01, 0.03, 0.0, Verdict.BETTER),
        (-0.03, -0.01, 0.0, Verdict.WORSE),
        (-0.03, -0.01, 0.02, Verdict.NOT_SETTLED),
        (-0.05, -0.03, 0.02, Verdict.WORSE),
        (-0.01, 0.01, 0.02, Verdict.EQUIVALENT),
        (0.0, 0.0, 0.0, Verdict.EQUIVALENT),
        (-0.01, 0.05, 0.02, Verdict.NOT_WORSE),
        (0.0, 0.05, 0.0, Verdict.NOT_WORSE),
        (-0.05, 0.05, 0.02, Verdict.NOT_SETTLED),
    ],
)
def test_the_interval_decides(low: float, high: float, tolerance: float, expected: Verdict) -> None:
    assert verdict_of(interval(low, high), tolerance) is expected


@pytest.mark.parametrize(("low", "high"), [(0.01, 0.03), (-0.03, -0.01)])
def test_a_test_that_disagrees_settles_nothing(low: float, high: float) -> None:
    assert verdict_of(interval(low, high, p=0.06)) is Verdict.NOT_SETTLED
    assert verdict_of(interval(low, high), q=0.06) is Verdict.NOT_SETTLED


@given(st.floats(-0.1, 0.1), st.floats(0.001, 0.1), st.floats(0, 0.05))
def test_every_interval_has_one_verdict_and_swapping_mirrors_it(
    value: float, half: float, tolerance: float
) -> None:
    found = verdict_of(interval(value - half, value + half), 0.0)
    mirrored = verdict_of(interval(-value - half, half - value), 0.0)
    swapped = {Verdict.BETTER: Verdict.WORSE, Verdict.WORSE: Verdict.BETTER}
    if found in swapped:
        assert mirrored is swapped[found]
    assert verdict_of(interval(value - half, value + half), tolerance) in Verdict


def test_as_many_images_as_needed_make_the_difference_detectable() -> None:
    found = Difference(0.01, -0.01, 0.03, 0.3)
    more = images_needed(found, 1000)
    assert more is not None
    half = found.half_width / math.sqrt((1000 + more) / 1000)
    assert half * POWER_FACTOR == pytest.approx(0.01, rel=1e-3)
    assert images_needed(Difference(0.0, -0.01, 0.01, 1.0), 1000) is None
    assert images_needed(Difference(-0.02, -0.05, 0.01, 0.2), 1000, 0.02) is None


def test_one_image_says_nothing_about_an_interval() -> None:
    alone = Difference(0.02, -math.inf, math.inf, 1.0)
    assert alone.interval is None
    assert verdict_of(alone, 0.5) is Verdict.NOT_SETTLED
    assert images_needed(alone, 1) is None
    assert Difference(0.02, -0.01, 0.05, 0.2).interval == (-0.01, 0.05)


def test_a_test_about_zero_does_not_decide_about_a_tolerance() -> None:
    """McNemar's exact test may be above 0.05 where Tango's interval just excludes 0."""
    difference = Difference(0.0222, 0.0005, 0.0477, 0.0768)
    assert verdict_of(difference) is Verdict.NOT_SETTLED
    assert verdict_of(difference, 0.005) is Verdict.NOT_WORSE
    assert verdict_of(difference, 0.05) is Verdict.EQUIVALENT
    assert verdict_of(Difference(-0.0222, -0.0477, -0.0005, 0.0768)) is Verdict.NOT_SETTLED
