"""The reasons why images of a run failed, from its result files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import pyarrow.compute as pc

from snellen.store.parquet.results import Results

MANY = 0.05
"""Fraction of failed images above which a completed run says why they failed."""
_SHOWN = 3
_COLUMNS = ("image_id", "status", "error_code", "error_message")


@dataclass(frozen=True, slots=True)
class FailureReason:
    """An error code of failed images.

    Attributes:
        code: the error code.
        count: number of images that failed with it.
        image_id: the first of them.
        message: its error message.
    """

    code: str
    count: int
    image_id: str
    message: str


def failure_reasons(results: Results) -> list[FailureReason]:
    """Count the failed images of a run by error code, the most frequent first."""
    found: dict[str, FailureReason] = {}
    for table in results.iter_units(_COLUMNS):
        for row in table.filter(pc.equal(table["status"], "failed")).to_pylist():
            code = str(row["error_code"])
            first = FailureReason(code, 0, row["image_id"], row["error_message"] or "")
            known = found.get(code, first)
            found[code] = replace(known, count=known.count + 1)
    return sorted(found.values(), key=lambda reason: -reason.count)


def failed_too_many(failed: int | None, total: int | None) -> bool:
    """Return True if the fraction of failed images is above `MANY`."""
    return (failed or 0) > MANY * (total or 0)


def reasons_text(reasons: Sequence[FailureReason]) -> str:
    """Return the most frequent reasons in words, each with its count and first image."""
    shown = [
        f"{one.count:,} {one.code} ({one.image_id}: {one.message})" for one in reasons[:_SHOWN]
    ]
    rest = sum(one.count for one in reasons[_SHOWN:])
    return ", ".join([*shown, f"{rest:,} with other codes"] if rest else shown)


def _problem(message: str) -> str:
    """Return the first sentence of a message, which says what is wrong."""
    return message.partition(". ")[0].removesuffix(".")
