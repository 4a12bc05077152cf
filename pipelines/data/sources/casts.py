"""Exact conversion of label values, which files hold as numbers, as text or as booleans.

``float(True)`` is 1 and ``bool("0")`` is True: a value of the wrong kind is rejected here instead.
"""

from __future__ import annotations

from typing import Any

from snellen.adapters.errors import ErrorCode
from snellen.pipelines.data.sources.annotations import LabelProblem

_FLAGS = {"0": False, "1": True, "false": False, "true": True, "": False}


def as_integer(value: Any) -> int | None:
    """Return an integer, an integral float or a decimal text as an integer; None for others."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    if isinstance(value, float):
        return int(value) if value.is_integer() else None
    text = value.strip() if isinstance(value, str) else ""
    return int(text) if text.isascii() and text.removeprefix("-").isdecimal() else None


def as_number(value: Any, what: str) -> float:
    """Return a number, or a text of one, as a float; it may be not finite.

    Args:
        value: as read from a label file.
        what: name of the value, for messages.

    Raises:
        LabelProblem: LABEL_INVALID for any other value.
    """
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    try:
        if isinstance(value, str) and "_" not in value:
            return float(value)
    except ValueError:
        pass
    raise LabelProblem(ErrorCode.LABEL_INVALID, f"{what} is {value!r}. Expected a number")


def as_numbers(values: Any, what: str) -> list[float]:
    """Return a list of numbers as floats; raises as `as_number`, or for a value that is no list."""
    if not isinstance(values, list | tuple):
        raise LabelProblem(
            ErrorCode.LABEL_INVALID, f"{what} is {values!r}. Expected a list of numbers"
        )
    return [as_number(value, what) for value in values]


def as_flag(value: Any, what: str) -> bool:
    """Return 0, 1, true or false, also as text, as a boolean; None and "" are False.

    Args:
        value: as read from a label file.
        what: name of the value, for messages.

    Raises:
        LabelProblem: LABEL_INVALID for any other value.
    """
    if value is None or isinstance(value, bool):
        return bool(value)
    if isinstance(value, int | float) and value in (0, 1):
        return bool(value)
    found = _FLAGS.get(value.strip().lower()) if isinstance(value, str) else None
    if found is None:
        raise LabelProblem(ErrorCode.LABEL_INVALID, f"{what} is {value!r}. Expected 0 or 1")
    return found
