"""End a run: metrics from the files, the run row completed in one transaction, losers swept."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from adapters.types import RunError, TaskType
from pipelines.config import RunConfig
from pipelines.measure import Measured, Spread, measure
from pipelines.reporter import Reporter
from pipelines.slicing import measure_slices
from store.database import Database
from store.files import sweep_units
from store.leases import Lease, release
from store.ledger import UnitRecord, committed_units
from store.results import Results
from store.runs import complete_run, get_test_run
from store.views import RunView

TEST_RUN = "test_run"
SPREAD_FROM = 50_000
"""Images from which on a Ray run's metrics are counted by Ray tasks: their start takes seconds."""


def finish_run(db: Database, lease: Lease, config: RunConfig, reporter: Reporter) -> RunView:
    """Complete a run whose units are all in the ledger.

    Raises:
        RunError: ALL_FAILED when no image could be scored; the run row says so, too.
    """
    run = get_test_run(db, lease.run_id)
    records = committed_units(db, TEST_RUN, run.id)
    _check_complete(records, run.total_images or 0)
    reporter.status("computing the metrics from the result files")
    results = Results(results_folder(run), records)
    measured = measure_run(run, results, config, reporter, spread=_spread(run, config))
    if measured.scored == 0:
        raise _all_failed(db, lease, results, measured)
    reporter.status("writing the run tables")
    complete_run(db, lease, columns=measured.columns, image_rows=sql_rows(results, run, config))
    sweep_units(results_folder(run), {record.file for record in records})
    return get_test_run(db, run.id)


def measure_run(
    run: RunView,
    results: Results,
    config: RunConfig,
    reporter: Reporter,
    *,
    spread: Spread = map,
) -> Measured:
    """The metrics of a run and of its slices, as columns of its row."""
    task, names = TaskType(run.task_type), tuple(run.class_names or ())
    measured = measure(
        results, task, names, total=run.total_images or 0, config=config.metrics, spread=spread
    )
    if measured.scored == 0 or not config.metrics.slices:
        return measured
    reporter.status("computing the metrics of each slice")
    found = measure_slices(results, task, names, config.metrics, reporter)
    details = {**(measured.columns["details"] or {}), "slices": found}
    return replace(measured, columns={**measured.columns, "details": details})


def _spread(run: RunView, config: RunConfig) -> Spread:
    """Large runs are counted by the Ray that they ran on; a small one is done sooner here."""
    if config.run.engine != "ray" or (run.total_images or 0) < SPREAD_FROM:
        return map
    from pipelines.engines.ray_tasks import ray_map

    return ray_map


def results_folder(run: RunView) -> Path:
    """The folder of a run's files."""
    if run.results_dir is None:
        raise RunError("RUN_NOT_STARTED", f"run {run.id} has no results folder yet.")
    return Path(run.results_dir)


def sql_rows(results: Results, run: RunView, config: RunConfig) -> Iterator[dict[str, Any]]:
    """The rows for the per-image SQL table, or none for a run above the limit."""
    if (run.total_images or 0) > config.output.sql_rows_limit:
        return
    for table in results.iter_units():
        yield from table.to_pylist()


def _check_complete(records: list[UnitRecord], total: int) -> None:
    """Units in order must be the images in order: anything else is a fault of ours."""
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


def _all_failed(db: Database, lease: Lease, results: Results, measured: Measured) -> RunError:
    codes: Counter[str] = Counter()
    for table in results.iter_units(["error_code"]):
        codes.update(str(code) for code in table["error_code"].to_pylist())
    counted = ", ".join(f"{count} {code}" for code, count in codes.most_common())
    error = RunError(
        "ALL_FAILED",
        f"none of the {sum(codes.values())} images could be scored ({counted}). See "
        f"`snellen images {lease.run_id} --status failed`.",
    )
    nothing = dict.fromkeys(
        ("metrics", "intervals", "details", "per_class_metrics", "confusion_matrix")
    )
    kept = {k: measured.columns[k] for k in ("scored_images", "failed_images", "total_images")}
    release(db, lease, status="failed", error_message=error.message, **nothing, **kept)
    return error
