"""Numbers, times and durations as the pages show them."""

from __future__ import annotations

from datetime import UTC, datetime

MINUS, NONE = "\N{MINUS SIGN}", "\N{EN DASH}"
_TAG = 40
"""Maximum number of characters of a name beside a box."""


def count(value: int | None) -> str:
    """Return a number with thousands separators: ``1,284``; a dash for None."""
    return NONE if value is None else f"{value:,}".replace("-", MINUS)


def metric(value: float | None) -> str:
    """Return a metric with three decimals; a dash for None."""
    return NONE if value is None else f"{value:.3f}".replace("-", MINUS)


def signed(value: float | None) -> str:
    """Return a difference with three decimals and its sign; a dash for None."""
    if value is None:
        return NONE
    text = f"{value:+.3f}"
    return text[1:] if float(text) == 0 else text.replace("-", MINUS)


def exact(value: float | None) -> str:
    """Return a metric with four decimals, for titles; nothing for None."""
    return "" if value is None else f"{value:.4f}".replace("-", MINUS)


def shortest(value: float) -> str:
    """Return the shortest decimal that gives the same number: ``0.25``, ``1``, ``0.9999999``."""
    return repr(float(value)).removesuffix(".0")


def rate(value: float | None) -> str:
    """Return images per second, to three digits below 100; a dash for None."""
    if value is None:
        return NONE
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def duration(seconds: float | None) -> str:
    """Return a duration in its two largest units: ``12 min 59 s``; a dash for None."""
    if seconds is None:
        return NONE
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    parts = [(whole // 86400, "d"), (whole // 3600 % 24, "h"), (whole // 60 % 60, "min")]
    parts.append((whole % 60, "s"))
    while len(parts) > 1 and not parts[0][0]:
        parts.pop(0)
    return " ".join(f"{amount} {unit}" for amount, unit in parts[:2] if amount)


def when(moment: datetime | None, now: datetime | None = None) -> str:
    """Return a time (UTC) as people say it: ``Today 11:20``; a dash for None.

    Args:
        moment: aware time.
        now: the current time, for tests.
    """
    if moment is None:
        return NONE
    moment, now = moment.astimezone(UTC), now or datetime.now(UTC)
    days = (now.date() - moment.date()).days
    if days in (0, 1):
        return f"{('Today', 'Yesterday')[days]} {moment:%H:%M}"
    return f"{moment:%a} {moment.day} {moment:%b}" + ("" if days < 300 else f" {moment.year}")


def p_value(value: float | None) -> str:
    """Return a p- or q-value; a dash for None."""
    if value is None:
        return NONE
    return "<0.001" if value < 0.001 else f"{value:.3f}"


def tag(name: str) -> str:
    """Return a name as it stands beside a box: cut, and apart from what follows in its line."""
    short = name if len(name) <= _TAG else f"{name[: _TAG - 1]}\N{HORIZONTAL ELLIPSIS}"
    if short.isascii():
        return short
    return f"\N{FIRST STRONG ISOLATE}{short}\N{POP DIRECTIONAL ISOLATE}"


FILTERS = {
    "tag": tag,
    "p_value": p_value,
    "count": count,
    "metric": metric,
    "signed": signed,
    "exact": exact,
    "rate": rate,
    "duration": duration,
    "when": when,
}
"""Filters of the templates."""
