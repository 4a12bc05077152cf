"""Rescoring: the metrics of a finished run with other settings, without inference."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from snellen.adapters.errors import InputError
from snellen.analysis.reader import completed_owner, open_results
from snellen.pipelines.config.base import EVALUATION
from snellen.pipelines.config.loader import apply_overrides, build_config
from snellen.pipelines.config.stored import stored_config
from snellen.pipelines.planning.fingerprint import snellen_version
from snellen.pipelines.progress import Reporter
from snellen.pipelines.runs.finish import sql_rows
from snellen.pipelines.runs.measure import measure_run
from snellen.pipelines.runs.slices import (
    MetricsSpec,
    check_group,
    check_slices,
    results_schema,
)
from snellen.pipelines.tasks.metric_settings import Measured, check_metric_settings
from snellen.store.kinds import TEST_RUN
from snellen.store.leases import acquire, release
from snellen.store.runs import complete_run, create_test_run, get_test_run
from snellen.store.sql.database import Database
from snellen.store.views import RunView

_OTHER_KEYS = ("name", "run.seed", "output.sql_rows_limit")
"""Keys besides the section ``metrics`` that a rescore may change."""


def rescore_run(
    db: Database, run: RunView, overrides: Sequence[str], reporter: Reporter
) -> RunView:
    """Compute the metrics of a completed run again, with other ``metrics`` settings.

    The result is a new run row that reads the same files; no file changes.

    Raises:
        InputError: RUN_NOT_COMPLETED, or RESCORE_SETTING for keys other than ``metrics.*`` and
            those of `_OTHER_KEYS`.
        ConfigError: settings that do not fit the stored results, see `check_metric_settings`, or
            ``metrics.slices`` names columns that the result rows do not have.
    """
    owner = completed_owner(db, run)
    for word in overrides:
        key = word.partition("=")[0].strip()
        if not key.startswith("metrics.") and key not in _OTHER_KEYS:
            raise InputError(
                "RESCORE_SETTING",
                f"'{key}' does not apply to stored predictions. Expected metrics.*, "
                f"{', '.join(_OTHER_KEYS)}. Start a new run to change it.",
            )
    config = build_config(apply_overrides(dict(run.config or {}), overrides))
    results = open_results(db, replace(run, config=stored_config(config)))
    check_metric_settings(config.metrics, measured_of(owner))
    schema = results_schema(results)
    check_group(config.metrics, schema)
    check_slices(MetricsSpec(owner.task_type, (), config.metrics), schema)
    columns = measure_run(owner, results, config, reporter)
    new_id = create_test_run(db, **_copied(owner, stored_config(config), run))
    lease = acquire(db, TEST_RUN, new_id)
    try:
        matched = open_results(db, get_test_run(db, new_id))
        complete_run(db, lease, columns=columns, image_rows=sql_rows(matched, owner, config.output))
    except BaseException:
        release(db, lease, status="failed")
        raise
    return get_test_run(db, new_id)


def measured_of(owner: RunView) -> Measured:
    """Return the facts of a stored run that its metrics depend on."""
    class_map, resolved = owner.class_map or {}, owner.resolved or {}
    ids = class_map.get("ids", {}).values()
    outputs = class_map.get("outputs", {}).values()
    return Measured(
        owner.task_type,
        tuple(owner.class_names or ()),
        resolved.get("max_detections"),
        frozenset(number for number in ids if number is not None),
        frozenset(number for number, group in enumerate(outputs) if not group),
        resolved.get("keypoints"),
        min_confidence=_min_confidence(owner),
    )


def _min_confidence(owner: RunView) -> float | None:
    """Return the minimum confidence of the stored detections; None where it is not known."""
    written = ((owner.config or {}).get("model") or {}).get("min_confidence", "auto")
    return EVALUATION.min_confidence if written == "auto" else float(written)


def _copied(owner: RunView, config: dict[str, Any], run: RunView) -> dict[str, Any]:
    same = (
        "training_job_id",
        "checkpoint_path",
        "dataset_path",
        "dataset_split",
        "task_type",
        "class_names",
        "class_map",
        "dataset_report",
        "fingerprint",
        "resolved",
        "results_dir",
        "revision",
        "total_images",
    )
    asked, before = config.get("name"), (run.config or {}).get("name")
    return {
        **{key: getattr(owner, key) for key in same},
        "name": asked if asked and asked != before else f"{run.name}-rescored",
        "config": config,
        "results_of": owner.id,
        "snellen_version": snellen_version(),
    }
