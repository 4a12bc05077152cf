"""What the end of a test run and of an inference job have in common."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from snellen.adapters.errors import RunError
from snellen.pipelines.config.sections import OutputConfig
from snellen.pipelines.progress import Reporter
from snellen.pipelines.runs.wording import words_of
from snellen.store.leases import Lease
from snellen.store.ledger import UnitRecord
from snellen.store.parquet.results import Results
from snellen.store.parquet.unit_files import sweep_units
from snellen.store.runs import complete_run
from snellen.store.sql.database import Database
from snellen.store.views import AnyRun


def results_folder(run: AnyRun) -> Path:
    """The folder of a run's files."""
    if run.results_dir is None:
        raise RunError("RUN_NOT_STARTED", f"run {run.id} has no results folder yet.")
    return Path(run.results_dir)


def sql_rows(results: Results, run: AnyRun, output: OutputConfig) -> Iterator[dict[str, Any]]:
    """The rows for the per-image SQL table, or none for a run above the limit."""
    if (run.total_images or 0) > output.sql_rows_limit:
        return
    for table in results.iter_units():
        yield from table.to_pylist()


def complete(
    db: Database,
    lease: Lease,
    run: AnyRun,
    results: Results,
    columns: dict[str, Any],
    output: OutputConfig,
    reporter: Reporter,
) -> None:
    """Set the columns and the per-image rows in one transaction; then sweep what lost."""
    reporter.status("writing the run tables")
    complete_run(db, lease, columns=columns, image_rows=sql_rows(results, run, output))
    sweep_units(results.results_dir, {record.file for record in results.records})


def check_complete(records: list[UnitRecord], total: int) -> None:
    """Units in order must be the images in order: anything else is a fault of ours.

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


def all_failed(lease: Lease, results: Results) -> RunError:
    """The error of a run without a single good image, with the codes that were met."""
    codes: Counter[str] = Counter()
    for table in results.iter_units(["error_code"]):
        codes.update(str(code) for code in table["error_code"].to_pylist())
    counted = ", ".join(f"{count} {code}" for code, count in codes.most_common())
    words = words_of(lease.kind)
    return RunError(
        "ALL_FAILED",
        f"none of the {sum(codes.values())} images could be {words.done} ({counted}). See "
        f"`{words.failures.format(lease.run_id)}`.",
    )
