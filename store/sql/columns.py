"""Column types for SQLite and Postgres: UTC time, finite numbers, clean text, JSON.

Neither database stores every Python value: Postgres rejects NaN in JSON and NUL in text, SQLite
drops time zones, and both reject the lone surrogates of undecodable file names.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import JSON, DateTime, Dialect, Float, Text
from sqlalchemy.types import TypeDecorator

from snellen.adapters.finite import finite_or_none

_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


def utc_now() -> datetime:
    """Return the current time, with time zone UTC."""
    return datetime.now(UTC)


def clean_text(value: str) -> str:
    """Return ``value`` with NUL and lone surrogates written as ``\\x00`` and ``\\udcff``."""
    if not _UNSTORABLE.search(value):
        return value
    return value.replace("\x00", "\\x00").encode("utf-8", "backslashreplace").decode("utf-8")


def clean_json(value: Any) -> Any:
    """Return ``value`` as plain JSON types.

    NaN and infinities become None, numpy scalars and arrays become Python numbers and lists,
    bytes (COCO run lengths) become ASCII text, mapping keys become text.

    Raises:
        TypeError: ``value`` contains an object without a JSON form.
    """
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return clean_text(str(value))
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return finite_or_none(float(value))
    if isinstance(value, Mapping):
        return {clean_text(str(key)): clean_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [clean_json(item) for item in value]
    if isinstance(value, bytes):
        return value.decode("ascii", "backslashreplace")
    if hasattr(value, "tolist"):
        return clean_json(value.tolist())
    raise TypeError(
        f"{value!r} is a {type(value).__name__}. Expected a JSON value: text, number, bool, None, "
        "list or dict"
    )


class UtcDateTime(TypeDecorator[datetime]):
    """A point in time: aware in Python, UTC in the database."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Convert an aware time to UTC; reject a naive one."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"{value!r} has no time zone. Expected one: use datetime.now(UTC)")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Return the time as aware UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class FiniteFloat(TypeDecorator[float]):
    """A double; NaN and infinities are stored as NULL."""

    impl = Float
    cache_ok = True

    def process_bind_param(self, value: float | None, dialect: Dialect) -> float | None:
        """Replace a number that is not finite with NULL."""
        return None if value is None else finite_or_none(float(value))


class CleanText(TypeDecorator[str]):
    """Text of any length; see `clean_text`."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """Escape the characters that no database stores."""
        return None if value is None else clean_text(str(value))


class CleanJson(TypeDecorator[Any]):
    """JSON with finite numbers, see `clean_json`; None is SQL NULL."""

    impl = JSON(none_as_null=True)
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> Any:
        """Convert the value to plain JSON."""
        return clean_json(value)
