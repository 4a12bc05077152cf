"""Parquet and CSV exports, read back by pandas."""

from __future__ import annotations

import csv
import datetime as dt
import io
import json
from decimal import Decimal
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from snellen.analysis.export.columnar import flat_frame
from snellen.store.parquet.schema import result_schema
from tests.contracts.exporter_contract import Exportable, ExporterContract

FORMULAS = ("=", "+", "-", "@", "\t", "\r", "\n")


class TestParquet(ExporterContract):
    exporter = pytest.fixture(lambda self: "parquet")
    exportable = pytest.fixture(lambda self, greys: greys)

    def rows(self, path: Path) -> list[str]:
        ids: list[str] = pd.read_parquet(path)["image_id"].tolist()
        return ids


class TestCsv(ExporterContract):
    exporter = pytest.fixture(lambda self: "csv")
    exportable = pytest.fixture(lambda self, greys: greys)

    def rows(self, path: Path) -> list[str]:
        ids: list[str] = pd.read_csv(path)["image_id"].tolist()
        return ids


def test_parquet_has_the_rows_and_types_of_the_run(boxes: Exportable, tmp_path: Path) -> None:
    boxes.export("parquet", tmp_path / "rows.parquet")
    table = pq.read_table(tmp_path / "rows.parquet")
    assert table.schema.equals(result_schema([pa.field("coco_id", pa.int64())]))
    assert table.to_pylist() == boxes.results.frame().to_dicts()


@pytest.mark.parametrize("name", ["greys", "boxes"])
def test_csv_and_parquet_are_equal_in_pandas(
    name: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    run: Exportable = request.getfixturevalue(name)
    run.export("csv", tmp_path / "rows.csv")
    run.export("parquet", tmp_path / "rows.parquet")
    typed = pd.read_parquet(tmp_path / "rows.parquet")
    text = pd.read_csv(tmp_path / "rows.csv", dtype=str, keep_default_na=False)
    assert list(text.columns) == list(typed.columns)
    assert len(text) == len(typed)
    table = pq.read_table(tmp_path / "rows.parquet")
    for column in typed.columns:
        field = table.schema.field(column)
        for cell, value in zip(text[column], table[column].to_pylist(), strict=True):
            if value is None:
                assert cell == ""
            elif pa.types.is_nested(field.type):
                assert json.loads(cell) == value
            elif pa.types.is_boolean(field.type):
                assert cell == str(value).lower()
            elif pa.types.is_floating(field.type):
                assert pa.scalar(float(cell), field.type).as_py() == value
            elif pa.types.is_string(field.type) and value[:1] in FORMULAS:
                assert cell == f"'{value}"
            else:
                assert cell == str(value)


def test_numbers_stay_numbers(greys: Exportable, tmp_path: Path) -> None:
    greys.export("csv", tmp_path / "rows.csv", status="ok")
    found = pd.read_csv(tmp_path / "rows.csv")
    assert {str(found[name].dtype) for name in ("confidence", "loss")} == {"float64"}
    assert {str(found[name].dtype) for name in ("image_index", "width")} == {"int64"}
    assert str(found["is_correct"].dtype) == "bool"


def test_a_cell_is_never_a_formula(tmp_path: Path) -> None:
    texts: list[str | None] = [f"{start}cmd|' /C calc'!A0" for start in FORMULAS]
    texts += ["a=1", "'=1", None, ""]
    numbers = [-1.5] * len(texts)
    names = [[text] for text in texts]
    table = pa.table({"meta_text": texts, "meta_number": numbers, "meta_list": names})
    path = tmp_path / "cells.csv"
    flat_frame(table).write_csv(path)
    with path.open(newline="", encoding="utf-8") as file:
        cells = list(csv.DictReader(file))
    expected = [*(f"'{text}" for text in texts[: len(FORMULAS)]), "a=1", "'=1", "", ""]
    assert [cell["meta_text"] for cell in cells] == expected
    assert {cell["meta_number"] for cell in cells} == {"-1.5"}
    assert [json.loads(cell["meta_list"]) for cell in cells] == names


def test_formulas_in_names_of_images(greys: Exportable, tmp_path: Path) -> None:
    greys.export("csv", tmp_path / "rows.csv")
    shown = pd.read_csv(tmp_path / "rows.csv")["image_name"].tolist()
    assert {"'=1+1.png", "'+a.png", "'-a.png", "'@a.png", "a,b.png", 'a"b.png'} <= set(shown)


DAY = dt.datetime(2026, 1, 2, 3, 4, 5)
COLUMNS = {
    "date": ([DAY.date()], "2026-01-02"),
    "time": ([DAY.time()], "03:04:05"),
    "timestamp": ([DAY], "2026-01-02 03:04:05.000000"),
    "duration": ([dt.timedelta(hours=1, seconds=3)], "PT1H3S"),
    "decimal": ([Decimal("-1.50")], "-1.50"),
    "bytes": ([b"=ab"], '"=ab"'),
    "not a number": ([float("nan")], ""),
    "infinite": ([float("-inf")], ""),
    "dictionary": (pa.array(["=a"]).dictionary_encode(), "'=a"),
    "large text": (pa.array(["@a"], pa.large_string()), "'@a"),
    "null": (pa.nulls(1), ""),
    "fixed bytes": (pa.array([b"\xff\x00"], pa.binary(2)), '"\\\\xff\\u0000"'),
}
"""Metadata columns of one row, and their cells."""


@pytest.mark.parametrize("name", COLUMNS)
def test_metadata_of_every_type_is_a_cell(name: str) -> None:
    values, expected = COLUMNS[name]
    text = flat_frame(pa.table({"meta_a": values, "meta_b": [1]})).write_csv()
    assert list(csv.DictReader(io.StringIO(text))) == [{"meta_a": expected, "meta_b": "1"}]


def test_no_image_is_a_header(boxes: Exportable, tmp_path: Path) -> None:
    for name in ("csv", "parquet"):
        path = tmp_path / f"rows.{name}"
        assert boxes.export(name, path, status="failed")["images"] == 0
        read = pd.read_csv if name == "csv" else pd.read_parquet
        assert list(read(path).columns) == boxes.results.frame().columns
        assert len(read(path)) == 0
