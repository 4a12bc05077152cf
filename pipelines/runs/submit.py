"""The row and the folder of a run or job: making them, and taking them back."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from snellen.adapters.errors import RunInterrupted
from snellen.pipelines.config.predict import AnyConfig
from snellen.pipelines.models.load import ResolvedModel, job_of
from snellen.pipelines.runs.fingerprint import fingerprint, snellen_version
from snellen.pipelines.runs.run_folder import make_run_folder
from snellen.pipelines.runs.wording import words_of
from snellen.store.leases import Lease, release
from snellen.store.ledger import committed_units
from snellen.store.runs import delete_run, free_run_name, update_run
from snellen.store.sql.database import Database
from snellen.store.views import AnyRun


def shared_columns(
    db: Database,
    kind: str,
    config: AnyConfig,
    model: ResolvedModel,
    names: tuple[str, ...],
    images: str,
) -> dict[str, Any]:
    """The columns of a new row that test runs and inference jobs share.

    Args:
        db: where names are looked up and the model's job is registered.
        kind: ``test_run`` or ``inference_job``.
        config, model: of the run.
        names: the checkpoint's classes.
        images: what the images are called, for the name of a run that has none.
    """
    info = model.info
    default = f"{info.architecture}-{images}"
    return {
        "training_job_id": job_of(db, model, names).id,
        "name": free_run_name(db, config.name or default, kind=kind),
        "checkpoint_path": info.checkpoint_path,
        "task_type": str(info.task_type),
        "status": "pending",
        "class_names": list(names),
        "config": config.model_dump(mode="json"),
        "fingerprint": fingerprint(
            config, info, manifest_hash=None, unit_rows=None, batch_size=None
        ),
        "total_images": 0,
        "snellen_version": snellen_version(),
    }


def make_folder(db: Database, lease: Lease, root: Path, run: AnyRun) -> Path:
    """Make the run's folder below ``root`` and store where it is."""
    folder = make_run_folder(root, run.id, run.name or "run")
    update_run(db, lease, results_dir=str(folder))
    return folder


def forget(db: Database, lease: Lease, folder: Path | None) -> None:
    """Leave nothing behind of a run that could not be started."""
    if release(db, lease, status="failed"):
        delete_run(db, lease.run_id, kind=lease.kind)
    if folder is not None:
        shutil.rmtree(folder, ignore_errors=True)


def interrupted(db: Database, lease: Lease, run: AnyRun) -> RunInterrupted:
    """What to tell the person who pressed Ctrl-C."""
    records = committed_units(db, lease.kind, lease.run_id)
    done = sum(record.rows for record in records)
    words = words_of(lease.kind)
    return RunInterrupted(
        "INTERRUPTED",
        f"{words.noun} {run.id} was interrupted; {done:,} of {run.total_images or 0:,} images "
        f"are committed. Go on with: {words.resume.format(run.id)}",
    )
