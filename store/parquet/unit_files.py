"""Unit files: attempt-unique names, atomic writes, and integrity checks by sha256."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pyarrow as pa
import pyarrow.parquet as pq

from snellen.store.atomic_file import TEMPORARY_PREFIX, write_atomically
from snellen.store.parquet.unit_record import UnitRecord

UNITS_DIR = "units"

_ATTEMPT = re.compile(r"[A-Za-z0-9_-]{1,64}")
_PARQUET_MAGIC = b"PAR1"


@dataclass(frozen=True)
class UnitProblem:
    """A committed unit whose file differs from the ledger."""

    unit_id: int
    file: str
    problem: Literal["missing", "truncated", "changed"]


def write_unit_file(
    table: pa.Table, results_dir: Path, unit_id: int, attempt: str
) -> tuple[str, str]:
    """Write the rows of one unit as a Parquet file, whole or not at all.

    The same table gives the same bytes. The file and its folder are synced to the disk before
    this function returns, so that a record in the ledger never outlives its file.

    Args:
        table: rows of `snellen.store.parquet.schema.result_schema`.
        results_dir: the run's results directory; its folder ``units`` is created if it is missing.
        unit_id: number of the unit in the plan.
        attempt: letters, digits, ``-`` and ``_``; unique to this attempt.

    Returns:
        The path relative to ``results_dir`` (POSIX) and the sha256 of the bytes (hexadecimal).

    Raises:
        RunError: DISK_FULL, OUTPUT_READONLY or OUTPUT_NOT_WRITABLE.
        ValueError: ``attempt`` cannot be part of a file name.
    """
    if not _ATTEMPT.fullmatch(attempt):
        raise ValueError(f"{attempt!r} is no attempt. Expected letters, digits, - and _")
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    data = sink.getvalue()
    name = f"unit-{unit_id:06d}-{attempt}.parquet"
    write_atomically(results_dir / UNITS_DIR / name, data)
    return f"{UNITS_DIR}/{name}", hashlib.sha256(data).hexdigest()


def sha256_path(path: Path) -> str:
    """Return the sha256 of a file's bytes, hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sweep_units(results_dir: Path, keep: set[str]) -> list[str]:
    """Remove unit files and temporary files that are not in the ledger.

    Args:
        results_dir: the run's results directory.
        keep: relative names of the files in the ledger.

    Returns:
        The relative names of the removed files, sorted. Other files are kept.
    """
    removed = []
    for path in sorted((results_dir / UNITS_DIR).glob("*")):
        name = f"{UNITS_DIR}/{path.name}"
        ours = path.name.startswith(TEMPORARY_PREFIX) or (
            path.name.startswith("unit-") and path.suffix == ".parquet"
        )
        if ours and name not in keep:
            path.unlink(missing_ok=True)
            removed.append(name)
    return removed


def verify_units(results_dir: Path, records: Iterable[UnitRecord]) -> list[UnitProblem]:
    """Compare every committed file with the ledger's sha256 and return the differences.

    A ``truncated`` file lacks the end of a Parquet file.
    """
    problems = []
    for record in records:
        problem = _problem(results_dir / record.file, record.sha256)
        if problem is not None:
            problems.append(UnitProblem(record.unit_id, record.file, problem))
    return problems


def _problem(path: Path, sha256: str) -> Literal["missing", "truncated", "changed"] | None:
    try:
        if sha256_path(path) == sha256:
            return None
        with open(path, "rb") as file:
            file.seek(max(0, path.stat().st_size - len(_PARQUET_MAGIC)))
            whole = file.read() == _PARQUET_MAGIC
    except FileNotFoundError:
        return "missing"
    return "changed" if whole else "truncated"
