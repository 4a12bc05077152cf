"""Types of the columns of tables: those of CSV cells, and conversions to text."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

# 007 is a name or a code; as a number it would lose its zeros.
_INTEGER = r"^-?(0|[1-9][0-9]{0,17})$"
_TYPES = (pa.int64(), pa.float64(), pa.bool_(), pa.date32(), pa.timestamp("s"))
_MISSING = pa.array(
    ["#N/A", "#NA", "N/A", "NA", "NULL", "NaN", "n/a", "nan", "null", "None", ""], pa.string()
)
"""Spellings of a missing value in columns of numbers and times; in text they are text."""


class TypeFinder:
    """Finds the narrowest type of each column: integer, float, boolean, date, time or text."""

    def __init__(self, names: Sequence[str], text: frozenset[str]) -> None:
        self._possible: dict[str, list[pa.DataType]] = {
            name: [] if name in text else list(_TYPES) for name in names
        }
        self._filled: set[str] = set()

    def add(self, batch: pa.RecordBatch) -> None:
        """Drop the types that a block of text cells does not have."""
        for name, possible in self._possible.items():
            if not possible:
                continue
            cells = _present(batch.column(name))
            if len(cells):
                self._filled.add(name)
                self._possible[name] = [kind for kind in possible if _fits(cells, kind)]

    def schema(self) -> pa.Schema:
        """Return the columns with their types; a column without values is text."""
        return pa.schema(
            (name, possible[0] if possible and name in self._filled else pa.string())
            for name, possible in self._possible.items()
        )


def cast_column(cells: pa.Array, kind: pa.DataType) -> pa.Array:
    """Convert text cells to the type that `TypeFinder` found."""
    if pa.types.is_string(kind):
        return cells
    missing = pc.is_in(cells, _MISSING)
    return pc.if_else(missing, None, cells).cast(kind)


def _present(cells: pa.Array) -> pa.Array:
    return cells.filter(pc.invert(pc.or_(pc.is_null(cells), pc.is_in(cells, _MISSING))))


def _fits(cells: pa.Array, kind: pa.DataType) -> bool:
    if pa.types.is_integer(kind):
        return bool(pc.all(pc.match_substring_regex(cells, _INTEGER)).as_py())
    if pa.types.is_floating(kind) and pc.any(pc.match_substring_regex(cells, "^-?0[0-9]")).as_py():
        return False
    if pa.types.is_boolean(kind):
        return bool(pc.all(pc.match_substring_regex(cells, "^(?i:true|false)$")).as_py())
    try:
        cells.cast(kind)
    except pa.ArrowInvalid:
        return False
    return True


def value_type(kind: pa.DataType) -> pa.DataType:
    """Return the type of the values of a column, which may be a dictionary."""
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def text_of(values: pa.Array) -> pa.Array:
    """Convert a column to strings.

    Raises:
        pyarrow.ArrowException: lists, structures, or bytes that are not UTF-8.
    """
    return values.cast(value_type(values.type)).cast(pa.string())


def whole_numbers(values: pa.Array) -> pa.Array:
    """Convert floating-point numbers without a fraction to integers, and NaN to null.

    A data frame stores integers as such numbers if one of them is missing. Other columns are
    returned as they are.

    Raises:
        pyarrow.ArrowInvalid: a number with a fraction.
    """
    kind = value_type(values.type)
    if not pa.types.is_floating(kind):
        return values
    numbers = values.cast(kind)
    return pc.if_else(pc.is_nan(numbers), None, numbers).cast(pa.int64())
