"""Unit files: written whole or not at all, swept, and verified by their hash."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from snellen.adapters.errors import RunError
from snellen.store.parquet.results import Results
from snellen.store.parquet.unit_files import sha256_path, sweep_units, verify_units, write_unit_file
from tests.store.making import row, table


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
    with pytest.raises(RunError, match="cannot be written") as caught:
        write_unit_file(table(row(0)), tmp_path, 0, "a")
    assert caught.value.code == code
    assert list((tmp_path / "units").iterdir()) == []


def test_an_attempt_cannot_leave_the_folder(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="Expected letters"):
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
