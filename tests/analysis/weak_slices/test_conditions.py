"""Conditions on images: their text, and exactly the rows that meet them."""

from __future__ import annotations

import json
import operator
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from snellen.adapters.errors import ConfigError
from snellen.analysis.weak_slices.conditions import Condition, images_where
from snellen.store.parquet.results import Results
from tests.metrics.detection.examples import draw, table

ROWS = sorted(draw(3, "bbox", images=20), key=lambda row: int(row["image_index"]))
CAMERAS = [None if place % 5 == 0 else ("front", "rear")[place % 2] for place in range(20)]
DISTANCES = [None if place % 7 == 0 else place * 1.5 for place in range(20)]
BRIGHT = [None if place % 6 == 0 else place / 20 for place in range(20)]


class Held(Results):
    """Results of one table in memory, in two units."""

    def __init__(self, rows: pa.Table) -> None:
        super().__init__("", [])  # type: ignore[arg-type]
        self._rows = rows

    def lazy(self, columns: Any = None) -> Any:
        import polars as pl

        return pl.DataFrame(self._rows).lazy()

    def iter_units(self, columns: Any = None) -> Any:
        for start in (0, 9):
            part = self._rows.slice(start, 9 if start == 0 else None)
            yield part if columns is None else part.select(columns)


@pytest.fixture(scope="module")
def results() -> Results:
    rows = table(ROWS)
    extra = [None if one is None else json.dumps({"brightness": one}) for one in BRIGHT]
    place = rows.schema.get_field_index("extra_data")
    rows = rows.set_column(place, "extra_data", pa.array(extra, pa.string()))
    rows = rows.append_column("meta_camera", pa.array(CAMERAS))
    return Held(rows.append_column("meta_distance", pa.array(DISTANCES)))


def indices(chosen: list[bool]) -> list[int]:
    return [row["image_index"] for row, met in zip(ROWS, chosen, strict=True) if met]


@pytest.mark.parametrize(
    ("sign", "compare"),
    [("<", operator.lt), ("<=", operator.le), (">", operator.gt), (">=", operator.ge)],
)
def test_numbers_are_compared(
    results: Results, sign: str, compare: Callable[[float, float], bool]
) -> None:
    for name, values, limit in (("meta_distance", DISTANCES, 12.0), ("brightness", BRIGHT, 0.5)):
        found = images_where(results, [Condition.parse(f"{name}{sign}{limit}")])
        assert found == indices([v is not None and compare(v, limit) for v in values])


def test_texts_are_equal_or_not(results: Results) -> None:
    for sign, expected in (("=", operator.eq), ("!=", operator.ne)):
        found = images_where(results, [Condition.parse(f"meta_camera {sign} rear")])
        assert found == indices([expected(camera, "rear") for camera in CAMERAS])
    missing = images_where(results, [Condition.parse("meta_camera=(none)")])
    assert missing == indices([camera is None for camera in CAMERAS])


def test_objects_and_sizes_are_measured(results: Results) -> None:
    objects: list[Any] = [
        None
        if row["true_boxes"] is None
        else [box["area"] for box in row["true_boxes"] if not box["is_crowd"]]
        for row in ROWS
    ]
    many = images_where(results, [Condition.parse("object_count>=3")])
    assert many == indices([one is not None and len(one) >= 3 for one in objects])
    large = images_where(results, [Condition.parse("object_size > 900")])
    assert large == indices([bool(one) and bool(np.median(one) > 900) for one in objects])
    small = images_where(results, [Condition.parse("image_size=small")])
    assert small == indices([row["width"] is not None for row in ROWS])


def test_all_conditions_have_to_hold(results: Results) -> None:
    conditions = [Condition.parse("meta_camera=front"), Condition.parse("meta_distance<20")]
    each = [set(images_where(results, [one])) for one in conditions]
    assert set(images_where(results, conditions)) == each[0] & each[1]
    assert str(conditions[1]) == "meta_distance<20"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("brightness", "is no condition"),
        ("brightness<dark", "compares with 'dark'"),
        ("brightness<", "compares with ''"),
        ("<3", "is no condition"),
    ],
)
def test_what_is_no_condition_is_rejected(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        Condition.parse(text)
    assert caught.value.code == "CONDITION"


def test_an_unknown_column_is_rejected_with_the_known_ones(results: Results) -> None:
    with pytest.raises(ConfigError, match=r"no 'meta_camra'.*meta_camera"):
        images_where(results, [Condition.parse("meta_camra=front")])
