"""The reasons of failed images in words."""

from __future__ import annotations

import pytest

from snellen.pipelines.runs.reading.failures import FailureReason, failed_too_many, reasons_text


@pytest.mark.parametrize(
    ("failed", "total", "many"),
    [(5, 100, False), (6, 100, True), (1, 12, True), (0, 0, False), (None, None, False)],
)
def test_more_than_five_percent_are_many(failed: int | None, total: int | None, many: bool) -> None:
    assert failed_too_many(failed, total) is many


def test_the_most_frequent_three_are_named() -> None:
    reasons = [FailureReason(f"C{n}", 1000 - n, f"{n}.png", "bad") for n in range(5)]
    assert reasons_text(reasons[:1]) == "1,000 C0 (0.png: bad)"
    assert reasons_text(reasons).endswith("998 C2 (2.png: bad), 1,993 with other codes")
