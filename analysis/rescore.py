"""Rescoring: the metrics of a finished run with other settings or labels, without inference."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from snellen.adapters.errors import InputError, SnellenError
from snellen.analysis.put_labels import LabelsRequest, RelabelTarget, put_labels
from snellen.analysis.reader import completed_owner, open_results
from snellen.pipelines.config.base import EVALUATION
from snellen.pipelines.config.loader import apply_overrides, build_config
from snellen.pipelines.config.stored import stored_config
from snellen.pipelines.planning.fingerprint import snellen_version
from snellen.pipelines.progress import Reporter
from snellen.pipelines.runs.finish import sql_rows
from snellen.pipelines.runs.measure import measure_run
from snellen.pipelines.runs.reading.ground_truth import corrected_folder
from snellen.pipelines.runs.slices import (
    MetricsSpec,
    check_group,
    check_slices,
    results_schema,
)
from snellen.pipelines.tasks.metric_settings import Measured, check_metric_settings
from snellen.store.kinds import TEST_RUN
from snellen.store.leases import Lease, acquire, release
from snellen.store.runs import complete_run, create_test_run, delete_run, get_test_run
from snellen.store.sql.database import Database
from snellen.store.views import RunView

_OTHER_KEYS = ("name", "run.seed", "output.sql_rows_limit")
"""Keys besides the section ``metrics`` that a rescore may change."""


def rescore_run(
    db: Database,
    run: RunView,
    overrides: Sequence[str],
    reporter: Reporter,
    annotations: str | None = None,
) -> RunView:
    """Compute the metrics of a completed run again, with other settings or corrected labels.

    The result is a new run row that reads the same files; no file changes. Corrected labels are
    kept in a folder of the new run, see `snellen.pipelines.runs.reading.ground_truth`.

    Args:
        db: the open database.
        run: the run.
        overrides: ``key=value`` words: ``metrics.*`` and `_OTHER_KEYS`; with ``annotations`` also
            ``dataset.*`` of the labels.
        reporter: told about progress.
        annotations: a COCO JSON file with labels of the same images, or a dataset; None for the
            labels of the run.

    Raises:
        InputError: RUN_NOT_COMPLETED; RESCORE_SETTING for other keys; RESCORE_IMAGES,
            CLASS_MAP_MISMATCH and others of `snellen.analysis.relabel.write_labels`;
            RESCORE_LABELS, no image has labels that can be used. Nothing is left behind.
        ConfigError: settings that do not fit the stored results, see `check_metric_settings`, or
            ``metrics.slices`` names columns that the result rows do not have.
    """
    owner = completed_owner(db, run)
    words = [word for word in overrides if annotations is None or not word.startswith("dataset.")]
    _check_keys(words)
    config = build_config(apply_overrides(dict(run.config or {}), words))
    results = open_results(db, replace(run, config=stored_config(config)))
    check_metric_settings(config.metrics, measured_of(owner))
    schema = results_schema(results)
    check_group(config.metrics, schema)
    check_slices(MetricsSpec(owner.task_type, (), config.metrics), schema)
    new_id = create_test_run(db, **_copied(owner, stored_config(config), run))
    lease = acquire(db, TEST_RUN, new_id)
    labels = LabelsRequest(annotations, [word for word in overrides if word not in words])
    try:
        if annotations is not None or corrected_folder(run) is not None:
            put_labels(RelabelTarget(db, lease, owner, run), config, labels, reporter)
        new = get_test_run(db, new_id)
        rescored = open_results(db, new)
        columns = measure_run(new, rescored, config, reporter)
        _check_scored(columns)
        complete_run(db, lease, columns=columns, image_rows=sql_rows(rescored, new, config.output))
    except SnellenError:
        _discard(db, lease)
        raise
    except BaseException:
        release(db, lease, status="failed")
        raise
    return get_test_run(db, new_id)


def _check_keys(words: Sequence[str]) -> None:
    for word in words:
        key = word.partition("=")[0].strip()
        if not key.startswith("metrics.") and key not in _OTHER_KEYS:
            raise InputError(
                "RESCORE_SETTING",
                f"'{key}' does not apply to stored predictions. Expected metrics.*, "
                f"{', '.join(_OTHER_KEYS)}. Start a new run to change it.",
            )


def _check_scored(columns: dict[str, Any]) -> None:
    if not columns["scored_images"]:
        raise InputError(
            "RESCORE_LABELS",
            f"none of the {columns['total_images']:,} images of the run can be scored with these "
            "labels. Expected labels of its images. See what is wrong with them: snellen plan "
            "CHECKPOINT DATASET",
        )


def _discard(db: Database, lease: Lease) -> None:
    """Remove a rescored run that could not be completed, with its folder of labels."""
    release(db, lease, status="failed")
    folder = corrected_folder(get_test_run(db, lease.run_id))
    delete_run(db, lease.run_id)
    if folder is not None:
        shutil.rmtree(folder, ignore_errors=True)


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
