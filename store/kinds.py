"""The two kinds of run, and their tables."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Table

from snellen.store.sql.models import InferenceJob, InferenceResultRow, TestImageResult, TestRun

TEST_RUN = "test_run"
INFERENCE_JOB = "inference_job"

_SPOKEN = {TEST_RUN: "test run", INFERENCE_JOB: "inference job"}
_TABLES: dict[str, tuple[Any, Any, str]] = {
    TEST_RUN: (TestRun.__table__, TestImageResult.__table__, "test_run_id"),
    INFERENCE_JOB: (InferenceJob.__table__, InferenceResultRow.__table__, "inference_job_id"),
}

_PROTECTED = frozenset(
    {"id", "lease_owner", "lease_token", "lease_heartbeat_at", "cancel_requested"}
)


def run_table(kind: str) -> Table:
    """Return the table of a kind of run (``test_run`` or ``inference_job``)."""
    return _tables(kind)[0]


def image_table(kind: str) -> tuple[Table, str]:
    """Return the per-image table of a kind of run, and its column with the id of the run."""
    _, images, column = _tables(kind)
    return images, column


def _tables(kind: str) -> tuple[Table, Table, str]:
    if kind not in _TABLES:
        raise ValueError(f"{kind!r} is no kind of run. Expected one of {', '.join(_TABLES)}")
    return _TABLES[kind]


def check_columns(kind: str, columns: dict[str, Any]) -> None:
    """Reject columns that the table does not have or that only a lease may change.

    Raises:
        ValueError: naming the columns; an error of the calling code.
    """
    allowed = set(run_table(kind).columns.keys()) - _PROTECTED
    wrong = sorted(set(columns) - allowed)
    if wrong:
        table = run_table(kind).name
        raise ValueError(
            f"{', '.join(wrong)} cannot be set. Expected columns of {table} other than the lease's"
        )


def spoken(kind: str) -> str:
    """Return the kind in words, for messages."""
    return _SPOKEN[kind]
