"""Keep what is wrong with one image to its own result row.

A unit is converted and matched as a whole, which is fast. Where that raises, or a value cannot be
trusted, the rows are tried one by one: those at fault become failed rows, and the others stay as
they are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from snellen.adapters.errors import ErrorCode, ErrorStage, ImageError
from snellen.store.parquet.schema import RESULT_SCHEMA

Columns = Mapping[str, pa.Array]

_KEPT = (
    "image_index",
    "image_id",
    "image_path",
    "image_name",
    "width",
    "height",
    "preprocessing_time_ms",
    "content_hash",
    "extra_data",
)
"""Columns of a row that keep their values when it fails."""
_TRUTH = ("true_label", "true_label_id", "true_boxes", "true_masks", "true_keypoints")
_CORNERS = ("class_id", "x1", "y1", "x2", "y2")
_POINT = ("x", "y", "v")


def image_name(row: Mapping[str, Any]) -> str:
    """Return the name of the image of a manifest row: the last part of its id.

    The file may have another name, as those of uploads do.
    """
    return PurePosixPath(row["image_id"]).name or str(row["image_id"])


def failure(error: ImageError) -> dict[str, Any]:
    """Return the columns of a failed row that describe its error."""
    return {
        "status": "failed",
        "error_stage": str(error.stage),
        "error_code": str(error.code),
        "error_message": error.message,
    }


def invalid_label(reason: object) -> ImageError:
    """Return the error of an image whose ground truth cannot be used."""
    return ImageError(
        ErrorStage.LABEL,
        ErrorCode.LABEL_INVALID,
        f"the ground truth cannot be used: {reason} Expected labels that fit the image and the "
        "model; correct them and start a new run.",
    )


def failed_row(row: Mapping[str, Any], error: ImageError) -> dict[str, Any]:
    """Return a result row without its ground truth and its predictions."""
    return {key: row.get(key) for key in _KEPT} | failure(error)


def table_of(rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    """Convert result rows to a table of `RESULT_SCHEMA`; rows that do not fit become failed rows.

    Ground truth that Arrow cannot hold, or that is missing a coordinate or is not finite after the
    conversion to float32, fails with LABEL_INVALID; predictions that Arrow cannot hold with
    INTERNAL, stage ``postprocess``.
    """
    try:
        table = pa.Table.from_pylist(list(rows), schema=RESULT_SCHEMA)
    except Exception:  # pyarrow raises many types, which depend on the value
        table = pa.Table.from_pylist([_convertible(row) for row in rows], schema=RESULT_SCHEMA)
    if _whole_numbers(table):
        return table
    return _with_failed(
        table,
        {
            number: invalid_label("it has a coordinate that is missing or not finite.")
            for number in range(table.num_rows)
            if not _whole_numbers(table.slice(number, 1))
        },
    )


def with_matches(table: pa.Table, match: Callable[[pa.Table], Columns]) -> pa.Table:
    """Add the columns of matching; images whose ground truth makes it raise become failed rows.

    Args:
        table: result rows of a unit.
        match: computes columns of a table's length.

    Raises:
        Exception: raised by ``match`` for the unit, but for none of its images.
    """
    try:
        columns = match(table)
    except Exception:
        errors = _errors_of_rows(table, match)
        if not errors:
            raise
        table = _with_failed(table, errors)
        columns = match(table)
    for name, values in columns.items():
        position = table.schema.get_field_index(name)
        field = table.schema.field(position)
        table = table.set_column(position, field, values.cast(field.type))
    return table


def _errors_of_rows(table: pa.Table, match: Callable[[pa.Table], Columns]) -> dict[int, ImageError]:
    errors = {}
    for number in range(table.num_rows):
        try:
            match(table.slice(number, 1))
        except Exception as error:
            errors[number] = invalid_label(str(error) or type(error).__name__)
    return errors


def _convertible(row: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the row, or a failed row in its place where Arrow cannot hold it."""
    problem = _conversion_error(row)
    if problem is None:
        return row
    if _conversion_error({**row, **dict.fromkeys(_TRUTH)}) is None:
        return failed_row(row, invalid_label(f"{problem}."))
    message = f"the prediction cannot be stored: {problem}"
    return failed_row(row, ImageError(ErrorStage.POSTPROCESS, ErrorCode.INTERNAL, message))


def _conversion_error(row: Mapping[str, Any]) -> Exception | None:
    try:
        pa.Table.from_pylist([dict(row)], schema=RESULT_SCHEMA)
    except Exception as error:
        return error
    return None


def _with_failed(table: pa.Table, errors: Mapping[int, ImageError]) -> pa.Table:
    """Replace rows by failed ones; the other rows keep their values."""
    parts, start = [], 0
    for number, error in sorted(errors.items()):
        row = table.slice(number, 1).to_pylist()[0]
        failed = pa.Table.from_pylist([failed_row(row, error)], schema=RESULT_SCHEMA)
        parts += [table.slice(start, number - start), failed]
        start = number + 1
    return pa.concat_tables([*parts, table.slice(start)]).combine_chunks()


def _whole_numbers(table: pa.Table) -> bool:
    """Return True where every coordinate of the ground truth is present and finite."""
    boxes = pc.list_flatten(table["true_boxes"])
    points = pc.list_flatten(pc.list_flatten(table["true_keypoints"]))
    present = [pc.struct_field(boxes, name) for name in _CORNERS]
    present += [pc.struct_field(points, name) for name in _POINT]
    if any(column.null_count for column in present):
        return False
    return all(
        pc.all(pc.is_finite(column), min_count=0).as_py()
        for column in (*present, pc.struct_field(boxes, "area"))
    )
