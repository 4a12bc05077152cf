"""End a test run: metrics from the files, the row completed in one transaction, losers swept."""

from __future__ import annotations

from dataclasses import replace

from snellen.adapters.errors import RunError
from snellen.adapters.types import TaskType
from snellen.pipelines.config.evaluate import EvaluateConfig
from snellen.pipelines.progress import Reporter
from snellen.pipelines.runs.finishing import all_failed, check_complete, complete, results_folder
from snellen.pipelines.runs.measure import Measured, Spread, measure
from snellen.pipelines.runs.slices import measure_slices
from snellen.store.kinds import TEST_RUN
from snellen.store.leases import Lease, release
from snellen.store.ledger import committed_units
from snellen.store.parquet.results import Results
from snellen.store.runs import get_test_run
from snellen.store.sql.database import Database
from snellen.store.views import RunView

SPREAD_FROM = 50_000
"""Images from which on a Ray run's metrics are counted by Ray tasks: their start takes seconds."""


def finish_run(db: Database, lease: Lease, config: EvaluateConfig, reporter: Reporter) -> RunView:
    """Complete a run whose units are all in the ledger.

    Raises:
        RunError: ALL_FAILED when no image could be scored; the run row says so, too.
    """
    run = get_test_run(db, lease.run_id)
    records = committed_units(db, TEST_RUN, run.id)
    check_complete(records, run.total_images or 0)
    reporter.status("computing the metrics from the result files")
    results = Results(results_folder(run), records)
    measured = measure_run(run, results, config, reporter, spread=_spread(run, config))
    if measured.scored == 0:
        raise _all_failed(db, lease, results, measured)
    complete(db, lease, run, results, measured.columns, config.output, reporter)
    return get_test_run(db, run.id)


def measure_run(
    run: RunView,
    results: Results,
    config: EvaluateConfig,
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


def _spread(run: RunView, config: EvaluateConfig) -> Spread:
    """Large runs are counted by the Ray that they ran on; a small one is done sooner here."""
    if config.run.engine != "ray" or (run.total_images or 0) < SPREAD_FROM:
        return map
    from snellen.pipelines.execution.ray.map import ray_map

    return ray_map


def _all_failed(db: Database, lease: Lease, results: Results, measured: Measured) -> RunError:
    error = all_failed(lease, results)
    nothing = dict.fromkeys(
        ("metrics", "intervals", "details", "per_class_metrics", "confusion_matrix")
    )
    kept = {k: measured.columns[k] for k in ("scored_images", "failed_images", "total_images")}
    release(db, lease, status="failed", error_message=error.message, **nothing, **kept)
    return error
