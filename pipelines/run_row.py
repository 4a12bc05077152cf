"""The row and the folder of a test run: making them, and taking them back."""

from __future__ import annotations

import shutil
from pathlib import Path

from adapters.types import RunInterrupted
from pipelines.config import RunConfig
from pipelines.dataset import ResolvedDataset
from pipelines.fingerprint import fingerprint, snellen_version
from pipelines.finish import TEST_RUN
from pipelines.model import ResolvedModel, job_of
from pipelines.output import make_run_folder
from store.database import Database
from store.leases import Lease, release
from store.ledger import committed_units
from store.runs import create_test_run, delete_run, free_run_name, get_test_run, update_run


def create_row(
    db: Database, config: RunConfig, model: ResolvedModel, dataset: ResolvedDataset
) -> int:
    """Insert the row of a new run, status ``pending``, and give its id."""
    info = model.info
    names = dataset.class_map.names
    job = job_of(db, model, names)
    default = f"{info.architecture}-{Path(config.dataset.path).name}"
    return create_test_run(
        db,
        training_job_id=job.id,
        name=free_run_name(db, config.name or default),
        checkpoint_path=info.checkpoint_path,
        dataset_path=config.dataset.path,
        dataset_split=dataset.info.split,
        task_type=str(info.task_type),
        status="pending",
        class_names=list(names),
        class_map={**dataset.class_map.to_json(), "class_order": dataset.info.class_order},
        config=config.model_dump(mode="json"),
        fingerprint=fingerprint(config, info, manifest_hash=None, unit_rows=None, batch_size=None),
        total_images=0,
        snellen_version=snellen_version(),
    )


def make_folder(db: Database, lease: Lease, root: Path) -> Path:
    """Make the run's folder below ``root`` and store where it is."""
    run = get_test_run(db, lease.run_id)
    folder = make_run_folder(root, run.id, run.name or "run")
    update_run(db, lease, results_dir=str(folder))
    return folder


def forget(db: Database, lease: Lease, folder: Path | None) -> None:
    """Leave nothing behind of a run that could not be started."""
    if release(db, lease, status="failed"):
        delete_run(db, lease.run_id)
    if folder is not None:
        shutil.rmtree(folder, ignore_errors=True)


def interrupted(db: Database, lease: Lease) -> RunInterrupted:
    """What to tell the person who pressed Ctrl-C."""
    records = committed_units(db, TEST_RUN, lease.run_id)
    done = sum(record.rows for record in records)
    total = get_test_run(db, lease.run_id).total_images or 0
    return RunInterrupted(
        "INTERRUPTED",
        f"run {lease.run_id} was interrupted; {done:,} of {total:,} images are committed. "
        f"Go on with: snellen resume {lease.run_id}",
    )
