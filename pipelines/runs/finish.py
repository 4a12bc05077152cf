"""Finish a run: compute its columns from the files, complete its row, remove what lost."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from itertools import compress
from pathlib import Path
from typing import Any

import numpy as np

from snellen.adapters.errors import RunError
from snellen.pipelines.config.sections import OutputConfig
from snellen.pipelines.runs.kinds import RunContext
from snellen.pipelines.runs.ownership import OwnedRun
from snellen.pipelines.runs.reading.content import CONTENT_COLUMNS, dataset_content
from snellen.pipelines.runs.reading.failures import (
    FailureReason,
    failed_too_many,
    failure_reasons,
    reasons_text,
)
from snellen.pipelines.runs.reading.operating import operating_results
from snellen.store.atomic_file import sweep_temporaries
from snellen.store.ledger import committed_units
from snellen.store.parquet.results import Results
from snellen.store.parquet.unit_files import sweep_units
from snellen.store.parquet.unit_record import UnitRecord
from snellen.store.runs import complete_run
from snellen.store.views import AnyRun

_PREDICTED = ("predicted_boxes", "predicted_masks", "predicted_keypoints")
"""Columns with one entry per predicted object."""
_COUNTS = ("scored_images", "failed_images", "total_images")


def finish_run(owned: OwnedRun) -> AnyRun:
    """Complete a run whose units are all in the ledger, in one transaction.

    Raises:
        RunError: ALL_FAILED when no image could be scored; the row says so, too.
    """
    context, lease = owned.context, owned.lease
    run = owned.row()
    records = committed_units(context.db, lease.kind, lease.run_id)
    check_complete(records, run.total_images or 0)
    results = operating_results(results_folder(run), records, (run, run))
    columns = dict(context.kind.measure(run, results, context.config, context.reporter))
    columns |= _content(run, results, context)
    if not columns["scored_images"]:
        error = _all_failed(context, run.id, failure_reasons(results))
        counts = {key: columns[key] for key in _COUNTS}
        owned.release("failed", error_message=error.message, **(dict.fromkeys(columns) | counts))
        raise error
    failed, total = columns["failed_images"], columns["total_images"]
    if failed_too_many(failed, total):
        reasons = reasons_text(failure_reasons(results))
        listed = context.kind.words.failures.format(run.id)
        context.reporter.note(
            f"{failed:,} of {total:,} images failed: {reasons}. List them: {listed}"
        )
    context.reporter.status("Writing run tables")
    rows = sql_rows(results, run, context.config.output)
    complete_run(context.db, lease, columns=columns, image_rows=rows)
    sweep_units(results.results_dir, {record.file for record in records})
    for folder in context.kind.folders:
        with suppress(OSError):
            sweep_temporaries(results.results_dir / folder)
    return owned.row()


def _content(run: AnyRun, results: Results, context: RunContext) -> dict[str, Any]:
    """Add the hash of the dataset's content to the fingerprint, and its copies to the report."""
    content, copies = dataset_content(results.iter_units(CONTENT_COLUMNS))
    if content is None:
        return {}
    if copies["copies"]:
        first, other, *_ = copies["examples"][0]
        many = f"{copies['copies']:,} images are exact copies of others"
        said = "1 image is an exact copy of another" if copies["copies"] == 1 else many
        context.reporter.note(f"{said}: {other} of {first}")
    return {
        "fingerprint": {**(run.fingerprint or {}), "content_hash": content},
        "dataset_report": {**(run.dataset_report or {}), "copies": copies},
    }


def results_folder(run: AnyRun) -> Path:
    """Return the folder of a run's files.

    Raises:
        RunError: RUN_NOT_STARTED.
    """
    if run.results_dir is None:
        raise RunError("RUN_NOT_STARTED", f"run {run.id} has no results folder yet.")
    return Path(run.results_dir)


def sql_rows(results: Results, run: AnyRun, output: OutputConfig) -> Iterator[dict[str, Any]]:
    """Yield the rows for the per-image SQL table; none for a run above the limit.

    Their predicted objects reach down to `Results.least_confidence`: of a test run down to the
    operating point, as the many less confident ones serve average precision alone.
    """
    if (run.total_images or 0) > output.sql_rows_limit:
        return
    for table in results.iter_units():
        for row in table.to_pylist():
            boxes = row["predicted_boxes"] or ()
            # float32, as result files store it
            kept = [
                box["confidence"] >= np.float32(results.least_confidence(box["class_id"]))
                for box in boxes
            ]
            parallel = {name: list(compress(row[name], kept)) for name in _PREDICTED if row[name]}
            yield row | parallel


def check_complete(records: list[UnitRecord], total: int) -> None:
    """Check that the units cover every image once, in order.

    Raises:
        RunError: RUN_INCOMPLETE.
    """
    expected = 0
    for record in records:
        if record.start != expected or record.rows != record.stop - record.start:
            break
        expected = record.stop
    if expected != total:
        raise RunError(
            "RUN_INCOMPLETE",
            f"the ledger holds images up to {expected} of {total} without a gap; resume the run.",
        )


def _all_failed(context: RunContext, run_id: int, reasons: list[FailureReason]) -> RunError:
    words, count = context.kind.words, sum(reason.count for reason in reasons)
    return RunError(
        "ALL_FAILED",
        f"none of the {count:,} images could be {words.done}: {reasons_text(reasons)}. Expected at "
        f"least one. List them: {words.failures.format(run_id)}",
    )
