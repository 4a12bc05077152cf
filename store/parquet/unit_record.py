"""The record of one unit, apart from the ledger so that workers need no SQLAlchemy for it."""

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
        worker: where it ran, for people.
        timings: seconds by stage; counts: any further numbers (sums of metrics for progress).
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
