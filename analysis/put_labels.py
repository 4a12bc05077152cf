"""Give corrected labels to the row of a rescored run: its folder, its files and its columns."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from snellen.analysis.relabel import labels_dataset, write_labels
from snellen.pipelines.config.evaluate import EvaluateConfig
from snellen.pipelines.config.stored import stored_config
from snellen.pipelines.data.manifest_reader import MANIFEST_NAME
from snellen.pipelines.data.registered import with_registered_dataset
from snellen.pipelines.progress import Reporter
from snellen.pipelines.runs.finish import results_folder
from snellen.pipelines.runs.reading.ground_truth import KEY, corrected_folder
from snellen.pipelines.runs.run_folder import make_run_folder
from snellen.store.kinds import TEST_RUN
from snellen.store.leases import Lease
from snellen.store.ledger import committed_units
from snellen.store.parquet.results import Results
from snellen.store.runs import get_test_run, update_run
from snellen.store.sql.database import Database
from snellen.store.views import RunView


@dataclass(frozen=True, slots=True)
class LabelsRequest:
    """Corrected labels: a path, None for those that the run has; and keys of their dataset."""

    path: str | None
    words: Sequence[str] = field(default_factory=tuple)


@dataclass(frozen=True, slots=True)
class RelabelTarget:
    """A rescored run that gets corrected labels.

    Attributes:
        db: the open database.
        lease: of the rescored run.
        owner: the run whose files it reads.
        before: the run that was asked about, which may have corrected labels already.
    """

    db: Database
    lease: Lease
    owner: RunView
    before: RunView


def put_labels(
    target: RelabelTarget, config: EvaluateConfig, labels: LabelsRequest, reporter: Reporter
) -> None:
    """Make the folder of a rescored run with its labels, and describe them in its row.

    The folder stands beside that of the run whose files are read.

    Raises:
        ConfigError, InputError: see `snellen.analysis.relabel.write_labels`.
        RunError: the folder cannot be written.
    """
    db, lease, owner = target.db, target.lease, target.owner
    new = get_test_run(db, lease.run_id)
    source = results_folder(owner)
    folder = make_run_folder(source.parent, new.id, new.name or "run")
    (folder / "units").rmdir()
    # from here on the row says that the folder is its own, and it is removed with it
    _mark(target, folder, {"has_loss": True})
    if labels.path is None:
        _copy(target, folder)
        return
    dataset = labels_dataset(config, source / MANIFEST_NAME, labels.path, labels.words)
    changed = with_registered_dataset(config.model_copy(update={"dataset": dataset}))
    stored = Results(source, committed_units(db, TEST_RUN, owner.id))
    made = write_labels(owner, stored, changed.dataset, folder, reporter)
    for warning in made.report["warnings"]:
        reporter.note(f"Labels: {warning}")
    if made.missing:
        reporter.note(f"Labels: {made.missing:,} images of the run have none: they are failed rows")
    if not made.has_loss:
        reporter.note(
            "Labels: the probability of some corrected class was not stored, so that the loss is "
            "null"
        )
    _mark(target, folder, {"has_loss": made.has_loss, "sha256": made.sha256})
    update_run(
        db,
        lease,
        dataset_path=changed.dataset.annotations or changed.dataset.path,
        dataset_report=made.report,
        class_map=made.class_map,
        config=stored_config(changed),
    )


def _mark(target: RelabelTarget, folder: Path, facts: dict[str, object]) -> None:
    resolved = get_test_run(target.db, target.lease.run_id).resolved or {}
    update_run(target.db, target.lease, results_dir=str(folder), resolved={**resolved, KEY: facts})


def _copy(target: RelabelTarget, folder: Path) -> None:
    """Copy the labels of the run that is rescored again, so that each run has its own."""
    before = target.before
    origin = corrected_folder(before)
    assert origin is not None, "without a path, the run has corrected labels"
    for file in origin.iterdir():
        shutil.copyfile(file, folder / file.name)
    _mark(target, folder, (before.resolved or {})[KEY])
    update_run(
        target.db,
        target.lease,
        dataset_path=before.dataset_path,
        dataset_report=before.dataset_report,
        class_map=before.class_map,
    )
