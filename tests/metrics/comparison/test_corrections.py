"""Corrections against scipy and against their definitions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import false_discovery_control

from snellen.metrics.comparison.corrections import benjamini_hochberg, holm

P_VALUES = st.lists(st.floats(0, 1), min_size=1, max_size=30)


@given(P_VALUES)
def test_benjamini_hochberg_equals_scipy(p_values: list[float]) -> None:
    expected = false_discovery_control(p_values, method="bh")
    assert benjamini_hochberg(p_values) == pytest.approx(expected.tolist())


@given(P_VALUES, st.floats(0.001, 0.2))
def test_holm_rejects_what_its_steps_reject(p_values: list[float], alpha: float) -> None:
    rejected = set()
    for step, index in enumerate(np.argsort(p_values, kind="stable").tolist()):
        if p_values[index] * (len(p_values) - step) > alpha:
            break
        rejected.add(index)
    adjusted = holm(p_values)
    assert {index for index, p in enumerate(adjusted) if p <= alpha} == rejected


def test_no_tests_have_no_corrections() -> None:
    assert benjamini_hochberg([]) == holm([]) == []
