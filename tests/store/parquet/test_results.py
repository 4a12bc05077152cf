"""Result rows: read from the files of the ledger in image order, filtered, sorted and paged."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from snellen.adapters.errors import ConfigError, RunError
from snellen.store.parquet.results import Results
from snellen.store.parquet.schema import (
    result_schema,
)
from snellen.store.parquet.unit_files import write_unit_file
from tests.store.making import META, Unit, row, table


def test_rows_come_in_image_order_from_the_ledgers_files_only(results: Results) -> None:
    assert results.frame()["image_index"].to_list() == list(range(6))
    assert results.frame(["image_index", "loss"]).columns == ["image_index", "loss"]
    tables = list(results.iter_units(["image_index"]))
    assert [t["image_index"].to_pylist() for t in tables] == [[0, 1], [2, 3], [4, 5]]


def test_a_run_without_units_has_no_rows(tmp_path: Path) -> None:
    empty = Results(tmp_path, [])
    assert empty.frame().height == 0
    assert empty.page(empty.filter(correct=True)) == (0, 0, 0, [])


def test_a_folder_with_odd_characters_is_read(tmp_path: Path, unit: Unit) -> None:
    folder = tmp_path / "a=b [x]*"
    file, sha256 = write_unit_file(table(row(0)), folder, 0, "a")
    results = Results(folder, [unit(0, file=file, sha256=sha256)])
    assert results.frame().columns == result_schema(META).names
    assert next(results.iter_units()).column_names == result_schema(META).names


def test_a_missing_file_is_named(results: Results) -> None:
    (results.results_dir / results.records[1].file).unlink()
    with pytest.raises(RunError, match=r"1 of 3 result files .* missing, first unit-000001-a1"):
        results.frame()


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        ({"true_class": 1}, [1, 3, 5]),
        ({"true_class": "dog"}, [0, 2, 4]),
        ({"predicted_class": 0, "correct": False}, [1, 3]),
        ({"correct": True}, [0, 2, 4]),
        ({"min_confidence": 0.2, "max_confidence": 0.35}, [2, 3]),
        ({"status": "failed"}, [5]),
        ({"error_code": "EMPTY"}, [5]),
        ({}, [0, 1, 2, 3, 4, 5]),
    ],
)
def test_filters(results: Results, conditions: dict[str, Any], expected: list[int]) -> None:
    frame = results.filter(**conditions).select("image_index").collect()
    assert frame["image_index"].to_list() == expected


def test_detections_are_filtered_by_any_box(tmp_path: Path, unit: Unit) -> None:
    def box(class_id: int, confidence: float) -> dict[str, Any]:
        corners = dict.fromkeys(("x1", "y1", "x2", "y2"), 1.0)
        return {"class_id": class_id, **corners, "confidence": confidence}

    nothing = dict.fromkeys(
        ("true_label", "true_label_id", "predicted_label", "predicted_label_id", "confidence")
    )
    rows = table(
        row(0, **nothing, predicted_boxes=[box(3, 0.9), box(4, 0.1)]),
        row(1, **nothing, predicted_boxes=[]),
        row(2, **nothing, predicted_boxes=None),
    )
    file, sha256 = write_unit_file(rows, tmp_path, 0, "a")
    results = Results(tmp_path, [unit(0, file=file, sha256=sha256)])
    assert results.filter(predicted_class=4).collect()["image_index"].to_list() == [0]
    assert results.filter(min_confidence=0.5).collect()["image_index"].to_list() == [0]


def test_a_page_counts_the_whole_selection(results: Results) -> None:
    page = results.page(results.filter(), sort="confidence", descending=True, limit=2)
    assert (page.total, page.correct, page.incorrect) == (6, 3, 2)
    assert [r["image_index"] for r in page.rows] == [4, 3]
    last = results.page(results.filter(), sort="confidence", offset=5)
    assert [r["image_index"] for r in last.rows] == [5]  # no confidence: last


def test_equal_values_are_in_image_order_in_both_directions(results: Results) -> None:
    for descending in (False, True):
        page = results.page(
            results.filter(status="ok"), sort="true_confidence", descending=descending
        )
        assert [r["image_index"] for r in page.rows] == [0, 1, 2, 3, 4]


def test_pages_are_json(results: Results) -> None:
    rows = results.page(results.filter()).rows
    assert json.loads(json.dumps(rows, allow_nan=False)) == rows
    assert rows[3]["loss"] is None
    assert rows[0]["meta_camera"] == "left"


def test_only_known_columns_sort(results: Results) -> None:
    with pytest.raises(ConfigError, match="Expected one of image_index"):
        results.page(results.filter(), sort="extra_data")


def test_masks_are_text_in_pages(tmp_path: Path, unit: Unit) -> None:
    file, sha256 = write_unit_file(table(row(0, predicted_masks=[b"PQ01"])), tmp_path, 0, "a")
    results = Results(tmp_path, [unit(0, file=file, sha256=sha256)])
    assert results.page(results.lazy()).rows[0]["predicted_masks"] == ["PQ01"]
    assert isinstance(results.lazy(), pl.LazyFrame)
