"""The two kinds of run, and what is the same for both: their tables by name."""

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
    """The table of the runs of a kind (``test_run`` or ``inference_job``)."""
    return _tables(kind)[0]


def image_table(kind: str) -> tuple[Table, str]:
    """The table of the images of a kind of run, and its column that names the run."""
    _, images, column = _tables(kind)
    return images, column


def _tables(kind: str) -> tuple[Table, Table, str]:
    if kind not in _TABLES:
        raise ValueError(f"expected a run kind of {', '.join(_TABLES)}, got {kind!r}")
    return _TABLES[kind]


def check_columns(kind: str, columns: dict[str, Any]) -> None:
    """Refuse columns that the table lacks or that only a lease may change.

    Raises:
        ValueError: naming the columns; a fault of the calling code.
    """
    allowed = set(run_table(kind).columns.keys()) - _PROTECTED
    wrong = sorted(set(columns) - allowed)
    if wrong:
        raise ValueError(
            f"expected columns of {run_table(kind).name} that may be set, got {', '.join(wrong)}"
        )


def spoken(kind: str) -> str:
    """The kind in words, for messages."""
    return _SPOKEN[kind]
