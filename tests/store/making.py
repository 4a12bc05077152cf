"""Result rows for tests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pyarrow as pa

from snellen.store.parquet.schema import (
    RESULT_SCHEMA,
    result_schema,
)
from snellen.store.parquet.unit_record import UnitRecord

Unit = Callable[..., UnitRecord]


META = [pa.field("camera", pa.string())]


def row(index: int, **columns: Any) -> dict[str, Any]:
    values: dict[str, Any] = dict.fromkeys(RESULT_SCHEMA.names)
    return {
        **values,
        "image_index": index,
        "image_id": f"{index}.png",
        "status": "ok",
        "true_label": "cat" if index % 2 else "dog",
        "true_label_id": index % 2,
        "predicted_label": "dog",
        "predicted_label_id": 0,
        "confidence": index / 10,
        "loss": 1.0,
        "is_correct": index % 2 == 0,
        "meta_camera": "left",
        **columns,
    }


def table(*rows: dict[str, Any]) -> pa.Table:
    return pa.Table.from_pylist(list(rows), schema=result_schema(META))
