"""Numbers, times and durations on the pages."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from snellen.serve.ui.formats import (
    count,
    duration,
    exact,
    metric,
    p_value,
    rate,
    shortest,
    signed,
    tag,
    when,
)

NOW = datetime(2026, 11, 24, 15, 0, tzinfo=UTC)


def test_numbers() -> None:
    assert [count(value) for value in (0, 1284, 1_000_000, None)] == [
        "0",
        "1,284",
        "1,000,000",
        "–",
    ]
    assert [metric(value) for value in (0.5764, -0.0091, None)] == ["0.576", "−0.009", "–"]
    assert [signed(value) for value in (0.0141, -0.06, -0.0001, None)] == [
        "+0.014",
        "−0.060",
        "0.000",
        "–",
    ]
    assert [p_value(value) for value in (0.0004, 0.0412, None)] == ["<0.001", "0.041", "–"]
    assert [exact(value) for value in (0.57641, None)] == ["0.5764", ""]
    assert [shortest(value) for value in (0.25, 1.0, 0.1 + 0.2)] == ["0.25", "1", str(0.1 + 0.2)]
    assert [rate(value) for value in (1284.2, 38.46, 3.04, None)] == ["1,284", "38.5", "3.04", "–"]


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0.52, "0.5 s"),
        (44.4, "44 s"),
        (60, "1 min"),
        (779, "12 min 59 s"),
        (3600, "1 h"),
        (3725, "1 h 2 min"),
        (86_400 + 7200, "1 d 2 h"),
        (None, "–"),
    ],
)
def test_durations(seconds: float | None, expected: str) -> None:
    assert duration(seconds) == expected


def test_times() -> None:
    def said(moment: datetime | None) -> str:
        return when(moment, NOW)

    assert said(NOW - timedelta(hours=1)) == "Today 14:00"
    assert said(NOW - timedelta(hours=20)) == "Yesterday 19:00"
    assert said(NOW - timedelta(days=4)) == "Fri 20 Nov"
    assert said(NOW - timedelta(days=400)) == "Mon 20 Oct 2025"
    assert (
        said(datetime(2026, 11, 24, 1, 0, tzinfo=timezone(timedelta(hours=2)))) == "Yesterday 23:00"
    )
    assert said(None) == "–"


def test_names_beside_boxes_are_short_and_keep_their_direction() -> None:
    assert tag("circle") == "circle"
    assert tag("x" * 300) == f"\u2068{'x' * 39}…\u2069"
    assert tag("אב") == "\u2068אב\u2069"
