"""The record of one unit, separate from the ledger so that workers do not need SQLAlchemy."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class UnitRecord:
    """One committed unit: images ``start <= image_index < stop`` of the manifest.

    Attributes:
        unit_id: number of the unit in the plan, from 0.
        file: path relative to the run's results directory, POSIX separators.
        sha256: of the file's bytes, hexadecimal.
        rows: rows in the file; failed: rows among them with status ``failed``.
        attempt: unique to the attempt that wrote the file.
        worker: name of the process that scored it.
        timings: seconds by stage; counts: sums for the running metric.
    """

    unit_id: int
    start: int
    stop: int
    file: str
    sha256: str
    rows: int
    failed: int
    attempt: str
    worker: str
    timings: dict[str, float]
    counts: dict[str, float]
