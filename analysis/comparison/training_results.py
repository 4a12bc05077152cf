"""The validation results that the training jobs of two runs stored, beside those of the runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from snellen.adapters.errors import SnellenError
from snellen.pipelines.models.training_jobs import describe_job
from snellen.store.jobs import get_training_job, validation_results
from snellen.store.sql.database import Database
from snellen.store.views import RunView


def training_rows(db: Database, a: RunView, b: RunView) -> dict[str, Any]:
    """Pair the metrics of the runs with those of their training, under equal keys only.

    ``accuracy`` or ``ultralytics_mAP50-95`` mean the same formula in both places; other columns of
    a training log, such as ``metrics/mAP50(B)``, have other keys here and are not shown.

    Returns:
        ``metrics``: rows of ``key``, ``a`` and ``b``, each with ``run`` and ``training``, which is
        null where it is not known; ``reasons``: ``a`` and ``b``, why there are none, or null.
    """
    found = {side: training_metrics(db, run) for side, run in (("a", a), ("b", b))}
    runs = {"a": a.metrics or {}, "b": b.metrics or {}}
    keys = [
        key
        for key in dict.fromkeys([*runs["a"], *runs["b"]])
        if any(key in found[side][0] for side in "ab")
    ]
    rows = [
        {
            "key": key,
            **{
                side: {"run": runs[side].get(key), "training": found[side][0].get(key)}
                for side in "ab"
            },
        }
        for key in keys
    ]
    reasons = {
        side: found[side][1] or (None if keys else "the training log has no metric of the run")
        for side in "ab"
    }
    return {"metrics": rows, "reasons": reasons}


def training_metrics(db: Database, run: RunView) -> tuple[dict[str, Any], str | None]:
    """Return the validation metrics of a checkpoint, or why there are none."""
    stored = validation_results(db, run.training_job_id)
    if not stored:
        return {}, "the training job has no validation results"
    epoch = (run.resolved or {}).get("epoch")
    if epoch is None:
        epoch = _epoch_of_file(db, run, [one.epoch for one in stored])
    if epoch is None:
        return {}, "the checkpoint does not tell its epoch"
    for one in stored:
        if one.epoch == epoch:
            return dict(one.metrics or {}), None
    return {}, f"the training log has no epoch {epoch}"


def _epoch_of_file(db: Database, run: RunView, epochs: Sequence[int | None]) -> int | None:
    """Return the epoch that the file of a checkpoint is named by; ``last`` is the last one."""
    try:
        job = get_training_job(db, run.training_job_id)
        checkpoints = describe_job(job)["checkpoints"]
    except (SnellenError, OSError):
        return None
    where, path = Path(job.output_dir or ""), Path(run.checkpoint_path or "")
    for one in checkpoints:
        if Path(one["path"]) in (path, where / path):
            epoch: int | None = epochs[-1] if one["name"] == "last" else one["epoch"]
            return epoch
    return None
