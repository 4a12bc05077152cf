"""The failed images of a run that a resume scores again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import pyarrow.compute as pc
import pyarrow.parquet as pq

from snellen.adapters.errors import ConfigError, ErrorCode
from snellen.adapters.plugins import nearest
from snellen.pipelines.execution.worker.retried_rows import retried
from snellen.pipelines.execution.worker.spec import Retry
from snellen.store.parquet.unit_record import UnitRecord

ALL = "all"
_KNOWN = tuple(str(code) for code in ErrorCode)


def error_codes(given: bool | str | Sequence[str]) -> frozenset[str]:
    """Return the error codes of the images to score again; empty for False.

    Args:
        given: True or ``all`` for every code; codes in a list, or in a text with commas.

    Raises:
        ConfigError: ERROR_CODE, an unknown code, or none.
    """
    if isinstance(given, bool):
        return frozenset(_KNOWN if given else ())
    words = given.split(",") if isinstance(given, str) else list(given)
    codes = [word.strip().upper() for word in words if word.strip()]
    if [code.lower() for code in codes] == [ALL]:
        return frozenset(_KNOWN)
    wrong = next((code for code in codes if code not in _KNOWN), None)
    if wrong is None and codes:
        return frozenset(codes)
    found = "no error code is named" if wrong is None else f"{wrong!r} is unknown"
    raise ConfigError(
        "ERROR_CODE",
        f"--retry-failed: {found}. Expected {ALL}, or one or more of {', '.join(_KNOWN)}"
        f"{(wrong and nearest(wrong, _KNOWN)) or '.'} For example: --retry-failed NOT_FOUND,IO",
    )


def units_to_retry(
    results_dir: Path, records: Iterable[UnitRecord], codes: frozenset[str]
) -> Mapping[int, UnitRecord]:
    """Return the current records of the units that hold failed images with these codes, by id."""
    chosen = {}
    wanted = Retry(codes, {})
    for record in records:
        if record.failed == 0 or not codes:
            continue
        with pq.ParquetFile(results_dir / record.file) as file:
            rows = file.read(columns=["status", "error_code"])
        if pc.any(retried(rows, wanted)).as_py():
            chosen[record.unit_id] = record
    return chosen
