"""Label values as files write them become numbers exactly, or are rejected."""

from __future__ import annotations

from typing import Any

import pytest

from snellen.pipelines.data.sources.annotations import LabelProblem
from snellen.pipelines.data.sources.casts import as_flag, as_integer, as_number, as_numbers


@pytest.mark.parametrize(
    ("value", "integer"),
    [(7, 7), (7.0, 7), ("7", 7), (" 007 ", 7), ("-1", -1), (7.5, None), ("7.0", None),
     (True, None), (None, None), ("", None), ("x", None), ("²", None), ("٣", None), ([7], None),
     (float("nan"), None), (float("inf"), None)],
)  # fmt: skip
def test_integers(value: Any, integer: int | None) -> None:
    assert as_integer(value) == integer


@pytest.mark.parametrize(("value", "number"), [(7, 7.0), (7.5, 7.5), ("7.5", 7.5), ("1e2", 100.0)])
def test_numbers(value: Any, number: float) -> None:
    assert as_number(value, "x") == number
    assert as_numbers([value], "x") == [number]


@pytest.mark.parametrize("value", [True, None, "", "x", "1_0", [1]])
def test_what_is_no_number(value: Any) -> None:
    with pytest.raises(LabelProblem, match=r"^x is .* Expected a number$"):
        as_number(value, "x")
    with pytest.raises(LabelProblem, match=r"Expected a list of numbers$"):
        as_numbers("12", "x")


@pytest.mark.parametrize("value", [2, -1, 0.5, "2", "no", [1], {}])
def test_what_is_no_flag(value: Any) -> None:
    with pytest.raises(LabelProblem, match=r"^x is .* Expected 0 or 1$"):
        as_flag(value, "x")
