"""Result files: whole or absent, read from the ledger in image order, checked by their hash."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from adapters.types import ConfigError, RunError
from store.files import sha256_path, sweep_units, verify_units, write_unit_file
from store.ledger import UnitRecord
from store.results import Results
from store.schema import (
    MANIFEST_SCHEMA,
    RESULT_SCHEMA,
    SCHEMA_VERSION,
    VERSION_KEY,
    manifest_schema,
    meta_fields,
    result_schema,
)

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


@pytest.fixture
def results(tmp_path: Path, unit: Unit) -> Results:
    """Six images in three units, committed out of order; the last one failed."""
    failed = {"status": "failed", "error_code": "EMPTY", "is_correct": None, "confidence": None}
    units = {
        2: table(row(4), row(5, **failed)),
        0: table(row(0), row(1)),
        1: table(row(2), row(3, loss=float("nan"))),
    }
    records = []
    for unit_id, rows in units.items():
        file, sha256 = write_unit_file(rows, tmp_path, unit_id, f"a{unit_id}")
        records.append(unit(unit_id, file=file, sha256=sha256, rows=2))
    write_unit_file(table(row(0)), tmp_path, 0, "loser")
    return Results(tmp_path, records)


# -- schema ----------------------------------------------------------------------------------


def test_the_columns_of_a_result_row() -> None:
    assert RESULT_SCHEMA.names == [
        "image_index",
        "image_id",
        "image_path",
        "image_name",
        "width",
        "height",
        "status",
        "error_stage",
        "error_code",
        "error_message",
        "true_label",
        "true_label_id",
        "predicted_label",
        "predicted_label_id",
        "confidence",
        "top5_predictions",
        "true_confidence",
        "loss",
        "true_boxes",
        "predicted_boxes",
        "true_masks",
        "predicted_masks",
        "true_mask_path",
        "predicted_mask_path",
        "visualization_path",
        "true_keypoints",
        "predicted_keypoints",
        "matches",
        "tp",
        "fp",
        "fn",
        "is_correct",
        "iou",
        "oks",
        "preprocessing_time_ms",
        "inference_time_ms",
        "postprocessing_time_ms",
        "extra_data",
    ]
    assert RESULT_SCHEMA.field("true_label_id").type == pa.int32()
    assert RESULT_SCHEMA.field("confidence").type == pa.float32()
    assert RESULT_SCHEMA.field("predicted_masks").type == pa.list_(pa.binary())


def test_metadata_columns_are_prefixed_and_come_last() -> None:
    schema = manifest_schema(META)
    assert schema.names == [*MANIFEST_SCHEMA.names, "meta_camera"]
    assert result_schema(meta_fields(schema)).names[-1] == "meta_camera"
    with pytest.raises(ValueError, match="meta_camera twice"):
        result_schema([*META, *META])


def test_files_carry_the_version_of_the_schema(tmp_path: Path) -> None:
    file, _ = write_unit_file(table(row(0)), tmp_path, 0, "a")
    metadata = pq.read_schema(tmp_path / file).metadata
    assert metadata[VERSION_KEY] == SCHEMA_VERSION.encode()


# -- writing ---------------------------------------------------------------------------------


def test_a_unit_file_has_its_name_its_hash_and_its_rows(tmp_path: Path) -> None:
    file, sha256 = write_unit_file(table(row(0), row(1)), tmp_path, 12, "abc-1")
    assert file == "units/unit-000012-abc-1.parquet"
    assert sha256_path(tmp_path / file) == sha256
    assert pq.read_table(tmp_path / file).equals(table(row(0), row(1)))
    assert list((tmp_path / "units").iterdir()) == [tmp_path / file]


def test_the_same_rows_give_the_same_bytes(tmp_path: Path) -> None:
    _, first = write_unit_file(table(row(0)), tmp_path, 0, "a")
    _, second = write_unit_file(table(row(0)), tmp_path, 0, "b")
    assert first == second


@pytest.mark.parametrize(
    ("number", "code"), [(errno.ENOSPC, "DISK_FULL"), (errno.EROFS, "OUTPUT_READONLY")]
)
def test_a_failed_write_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, code: str
) -> None:
    def fail(_: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(RunError, match="expected to write") as caught:
        write_unit_file(table(row(0)), tmp_path, 0, "a")
    assert caught.value.code == code
    assert list((tmp_path / "units").iterdir()) == []


def test_an_attempt_cannot_leave_the_folder(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="expected an attempt of letters"):
        write_unit_file(table(row(0)), tmp_path, 0, "../x")


def test_sweeping_keeps_what_the_ledger_holds(results: Results) -> None:
    units = results.results_dir / "units"
    (units / ".tmp-unit-000001-x").write_bytes(b"half")
    (units / "notes.txt").write_text("mine")
    keep = {record.file for record in results.records}
    assert sweep_units(results.results_dir, keep) == [
        "units/.tmp-unit-000001-x",
        "units/unit-000000-loser.parquet",
    ]
    assert (units / "notes.txt").exists()
    assert verify_units(results.results_dir, results.records) == []
    assert sweep_units(results.results_dir / "none", set()) == []


def test_verifying_tells_missing_truncated_and_changed(results: Results) -> None:
    paths = [results.results_dir / record.file for record in results.records]
    paths[0].unlink()
    paths[1].write_bytes(paths[1].read_bytes()[:-10])
    paths[2].write_bytes(b"PAR1 something else PAR1")
    problems = verify_units(results.results_dir, results.records)
    assert [(p.unit_id, p.problem) for p in problems] == [
        (0, "missing"),
        (1, "truncated"),
        (2, "changed"),
    ]


# -- reading ---------------------------------------------------------------------------------


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
    with pytest.raises(RunError, match=r"1 are missing, the first is unit-000001-a1"):
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
    with pytest.raises(ConfigError, match="expected a column to sort by of image_index"):
        results.page(results.filter(), sort="extra_data")


def test_masks_are_text_in_pages(tmp_path: Path, unit: Unit) -> None:
    file, sha256 = write_unit_file(table(row(0, predicted_masks=[b"PQ01"])), tmp_path, 0, "a")
    results = Results(tmp_path, [unit(0, file=file, sha256=sha256)])
    assert results.page(results.lazy()).rows[0]["predicted_masks"] == ["PQ01"]
    assert isinstance(results.lazy(), pl.LazyFrame)
