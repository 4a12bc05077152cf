"""Read, verify and rescore stored runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from adapters.types import ConfigError, InputError
from pipelines.config_load import apply_overrides, build_config
from pipelines.config_metrics import SliceBy
from pipelines.fingerprint import snellen_version
from pipelines.finish import measure_run
from pipelines.finishing import results_folder, sql_rows
from pipelines.reporter import Reporter
from pipelines.slicing import (
    check_slices,
    count_slices,
    open_slices,
    results_schema,
    slice_document,
)
from store.database import Database
from store.files import UnitProblem, verify_units
from store.kinds import TEST_RUN
from store.leases import acquire, release
from store.ledger import UnitRecord, committed_units
from store.results import Results
from store.runs import complete_run, create_test_run, free_run_name, get_test_run
from store.views import RunView


def owner_of_files(db: Database, run: RunView) -> RunView:
    """The run whose files ``run`` reads: itself, or the one that it re-scored."""
    return run if run.results_of is None else get_test_run(db, run.results_of)


def completed_owner(db: Database, run: RunView) -> RunView:
    """`owner_of_files`, of a run that is whole.

    Raises:
        InputError: RUN_NOT_COMPLETED.
    """
    owner = owner_of_files(db, run)
    if owner.status != "completed":
        raise InputError(
            "RUN_NOT_COMPLETED",
            f"run {owner.id} is {owner.status}; this needs a completed run. Resume it first: "
            f"snellen resume {owner.id}",
        )
    return owner


def ledger(db: Database, run: RunView) -> list[UnitRecord]:
    """The committed units that a run reads, in unit order."""
    return committed_units(db, TEST_RUN, owner_of_files(db, run).id)


def open_results(db: Database, run: RunView) -> Results:
    """A reader of the run's result rows.

    Raises:
        RunError: the run has no folder yet.
    """
    return Results(results_folder(owner_of_files(db, run)), ledger(db, run))


def unit_files(db: Database, run: RunView) -> list[Path]:
    """Absolute paths of the run's files in unit order."""
    records = ledger(db, run)
    if not records:
        return []
    folder = results_folder(owner_of_files(db, run))
    return [folder / record.file for record in records]


def verify_run(db: Database, run: RunView) -> tuple[int, list[UnitProblem]]:
    """Hash every file of a run again and compare with the ledger.

    Returns:
        The number of files, and what differs.
    """
    records = ledger(db, run)
    if not records:
        return 0, []
    return len(records), verify_units(results_folder(owner_of_files(db, run)), records)


def rescore_run(
    db: Database, run: RunView, overrides: Sequence[str], reporter: Reporter
) -> RunView:
    """Compute the metrics of a completed run again, with other ``metrics`` settings.

    A new run row is made that reads the same files; no file is touched.

    Raises:
        InputError: RUN_NOT_COMPLETED, or RESCORE_SETTING for anything but ``metrics.*``, ``name``
            and ``output.sql_rows_limit``.
        ConfigError: ``metrics.slices`` that the result rows do not have.
    """
    owner = completed_owner(db, run)
    for word in overrides:
        key = word.partition("=")[0].strip()
        if not key.startswith("metrics.") and key not in {"name", "output.sql_rows_limit"}:
            raise InputError(
                "RESCORE_SETTING",
                f"'{key}' cannot be changed by a rescore, which only computes metrics from the "
                "stored predictions; metrics.* can. For anything else, start a new run.",
            )
    config = build_config(apply_overrides(dict(run.config or {}), overrides))
    results = open_results(db, run)
    check_slices(config.metrics, owner.task_type, results_schema(results))
    reporter.status("computing the metrics from the result files")
    measured = measure_run(owner, results, config, reporter)
    new_id = create_test_run(db, **_copied(db, owner, config.model_dump(mode="json"), run))
    lease = acquire(db, TEST_RUN, new_id)
    try:
        complete_run(
            db, lease, columns=measured.columns, image_rows=sql_rows(results, owner, config.output)
        )
    except BaseException:
        release(db, lease, status="failed")
        raise
    return get_test_run(db, new_id)


def _copied(db: Database, owner: RunView, config: dict[str, Any], run: RunView) -> dict[str, Any]:
    same = (
        "training_job_id",
        "checkpoint_path",
        "dataset_path",
        "dataset_split",
        "task_type",
        "class_names",
        "class_map",
        "fingerprint",
        "resolved",
        "results_dir",
        "total_images",
    )
    asked, before = config.get("name"), (run.config or {}).get("name")
    return {
        **{key: getattr(owner, key) for key in same},
        "name": free_run_name(db, asked if asked and asked != before else f"{run.name}-rescored"),
        "config": config,
        "results_of": owner.id,
        "snellen_version": snellen_version(),
    }


def slice_run(
    db: Database, run: RunView, by: str, *, edges: Sequence[float] | None = None
) -> dict[str, Any]:
    """The metrics of a run by slices of its images.

    Args:
        by: a column of the result rows, such as ``meta_camera``, or image_size, object_size,
            object_count.
        edges: rising limits for a column of numbers.

    Returns:
        See `pipelines.slicing.slice_document`.

    Raises:
        InputError: RUN_NOT_COMPLETED.
        ConfigError: SLICE_COLUMN, a column that is not there; SLICE_VALUES, limits that are none
            or too many values.
    """
    owner = completed_owner(db, run)
    config, results = build_config(run.config).metrics, open_results(db, run)
    one = SliceBy(by, None if edges is None else tuple(edges))
    names = tuple(owner.class_names or ())
    (sliced,) = open_slices([one], owner.task_type, names, config, results_schema(results))
    failed = count_slices(results, [sliced])
    if failed:
        raise ConfigError("SLICE_VALUES", f"slices by {by}: {failed[0]}.")
    return slice_document(sliced)
