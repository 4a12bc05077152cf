"""Any partition of the images, merged, gives the report of one pass; so does any order."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from snellen.metrics.classification.metrics import ClassificationReport
from snellen.metrics.classification.state import ClassificationState, ImageArrays
from tests.metrics.classification.examples import EXACT, cut, draw, report


def flat(value: Any) -> list[Any]:
    """All leaves of a report, in order."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        return [leaf for item in value for leaf in flat(item)]
    return [value]


def assert_same(one: ClassificationReport, other: ClassificationReport) -> None:
    for left, right in zip(flat(one.to_dict()), flat(other.to_dict()), strict=True):
        if isinstance(left, float):
            assert left == pytest.approx(right, rel=EXACT, abs=EXACT)
        else:
            assert left == right


cases = st.tuples(st.integers(0, 2**32 - 1), st.integers(1, 120), st.integers(2, 12), st.data())


@settings(max_examples=60, deadline=None)
@given(cases)
def test_any_partition_merged_equals_one_pass(case: tuple[int, int, int, Any]) -> None:
    seed, images, classes, more = case
    data = draw(seed, images, classes)
    cuts = sorted(more.draw(st.lists(st.integers(0, images), max_size=8)))
    edges = [0, *cuts, images]
    parts = [
        ClassificationState.from_arrays(classes, ImageArrays(**cut(data, slice(a, b))))
        for a, b in pairwise(edges)
    ]
    one = report(ClassificationState.from_arrays(classes, ImageArrays(**data)), images)
    assert_same(report(ClassificationState.merge_all(parts), images), one)
    one_by_one = parts[0]
    for part in parts[1:]:
        one_by_one = one_by_one.merge(part)
    assert_same(report(one_by_one, images), one)


@settings(max_examples=30, deadline=None)
@given(cases)
def test_the_order_of_images_does_not_matter(case: tuple[int, int, int, Any]) -> None:
    seed, images, classes, _ = case
    data = draw(seed, images, classes)
    shuffled = cut(data, np.random.default_rng(seed).permutation(images))
    assert_same(
        report(ClassificationState.from_arrays(classes, ImageArrays(**shuffled)), images),
        report(ClassificationState.from_arrays(classes, ImageArrays(**data)), images),
    )


def test_a_state_survives_json() -> None:
    state = ClassificationState.from_arrays(7, ImageArrays(**draw(11, 90, 7)))
    again = ClassificationState.from_dict(json.loads(json.dumps(state.to_dict())))
    assert again.to_dict() == state.to_dict()
    assert report(again, 90) == report(state, 90)
