"""Numbers as a report shows them: three decimals, real minus signs, thousands separators."""

from __future__ import annotations

from collections.abc import Sequence

NOTHING = "–"
"""Shown for a value that is not defined."""
_MINUS = "−"


def decimal(value: float | None, places: int = 3) -> str:
    """Format a metric.

    >>> decimal(0.5764), decimal(-0.0091), decimal(None), decimal(-0.0001)
    ('0.576', '−0.009', '–', '0.000')
    """
    if value is None:
        return NOTHING
    text = f"{value:.{places}f}"
    if float(text) == 0:
        text = text.lstrip("-")
    return text.replace("-", _MINUS)


def signed(value: float | None, places: int = 3) -> str:
    """Format a difference.

    >>> signed(0.0141), signed(-0.06), signed(0.0)
    ('+0.014', '−0.060', '0.000')
    """
    text = decimal(value, places)
    return text if value is None or text[0] == _MINUS or float(text) == 0 else f"+{text}"


def span(bounds: Sequence[float] | None, places: int = 3) -> str:
    """Format an interval; empty without one.

    >>> span([0.575, 0.577]), span([-0.01, 0.02]), span(None)
    ('0.575–0.577', '−0.010 to 0.020', '')
    """
    if not bounds:
        return ""
    low, high = (decimal(value, places) for value in bounds)
    between = " to " if _MINUS in low + high else "–"
    return f"{low}{between}{high}"


def signed_span(bounds: Sequence[float] | None) -> str:
    """Format the interval of a difference.

    >>> signed_span([0.006, 0.022])
    '+0.006 to +0.022'
    """
    return f"{signed(bounds[0])} to {signed(bounds[1])}" if bounds else ""


def count(value: int | None) -> str:
    """Format a number of things.

    >>> count(1204118)
    '1,204,118'
    """
    return NOTHING if value is None else f"{value:,}"


def p_value(value: float | None) -> str:
    """Format a p or q value.

    >>> p_value(0.0002), p_value(0.0412), p_value(0.5)
    ('<0.001', '0.041', '0.500')
    """
    if value is None:
        return NOTHING
    return "<0.001" if value < 0.001 else f"{value:.3f}"


def metric_name(key: str) -> str:
    """Return the key of a metric for people.

    >>> metric_name("mask_mAP_small"), metric_name("mAP50-95")
    ('mask mAP small', 'mAP50-95')
    """
    return key.replace("_", " ")


def duration(milliseconds: float | None) -> str:
    """Format a time.

    >>> duration(83), duration(12_300), duration(779_000)
    ('83 ms', '12.3 s', '12 min 59 s')
    """
    if milliseconds is None:
        return NOTHING
    if milliseconds < 1000:
        return f"{milliseconds:.0f} ms"
    seconds = milliseconds / 1000
    if seconds < 60:
        return f"{seconds:.1f} s"
    return f"{int(seconds) // 60} min {int(seconds) % 60:02d} s"
