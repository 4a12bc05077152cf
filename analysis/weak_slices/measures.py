"""Values of an image that slices are made of: metadata, size, brightness, objects."""

from __future__ import annotations

import json
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from snellen.metrics.slices import BINS, NONE, slice_columns, slice_names, slice_values
from snellen.store.parquet.schema import META_PREFIX

Floats = npt.NDArray[np.float64]
BRIGHTNESS = "brightness"
MEASURES = (*BINS, BRIGHTNESS)
"""Values that are computed from a row, besides its columns.

- image_size: width x height, pixels; object_size: median area of the true objects, pixels;
  object_count: number of true objects; see `snellen.metrics.slices.BINS` for their bins.
- brightness: mean luma of the decoded image, 0 (black) to 1 (white); of rows that store it.
"""


def read_columns(name: str) -> tuple[str, ...]:
    """Return the columns of a result row that a value is computed from."""
    return ("extra_data",) if name == BRIGHTNESS else slice_columns(name)


def column_names(columns: Iterable[str]) -> list[str]:
    """Return the metadata columns among the columns of result rows."""
    return [name for name in columns if name.startswith(META_PREFIX)]


def measured_numbers(table: pa.Table, name: str) -> Floats:
    """Return a value of each row as a number; NaN for none, or for text.

    Args:
        table: with the columns that `read_columns` names.
        name: a column, or one of `MEASURES`.
    """
    if name == BRIGHTNESS:
        found = [_brightness(text) for text in table["extra_data"].to_pylist()]
    else:
        found = [_number(value) for value in slice_values(table, name)]
    return np.array(found, np.float64)


def value_names(table: pa.Table, name: str) -> list[str]:
    """Return a value of each row as text: of a bin its name, without a value ``(none)``."""
    if name != BRIGHTNESS:
        return slice_names(table, name)
    return [NONE if value != value else f"{value:g}" for value in measured_numbers(table, name)]


def _number(value: object) -> float:
    if isinstance(value, int | float):
        return float(value)
    return float("nan")


def _brightness(text: str | None) -> float:
    value = json.loads(text).get(BRIGHTNESS) if text else None
    return float("nan") if value is None else float(value)
