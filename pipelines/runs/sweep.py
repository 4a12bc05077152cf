"""Evaluation of several checkpoints of a training job on one dataset, one run each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from snellen.adapters.checkpoints.layouts import (
    CheckpointEntry,
    list_checkpoints,
    resolve_checkpoint,
)
from snellen.adapters.errors import ConfigError, InputError, RunInterrupted, SnellenError
from snellen.adapters.runtime.temporary_folder import temporary_folder
from snellen.pipelines.config.evaluate import EvaluateConfig
from snellen.pipelines.config.loader import build_config, with_absolute_paths
from snellen.pipelines.data.manifest import write_manifest
from snellen.pipelines.data.manifest_reader import MANIFEST_NAME
from snellen.pipelines.data.registered import with_registered_dataset
from snellen.pipelines.data.sources.registry import open_source
from snellen.pipelines.models.training_jobs import find_job
from snellen.pipelines.planning.fingerprint import hashed_settings
from snellen.pipelines.progress import Reporter
from snellen.pipelines.runs.runner import TestRunner
from snellen.pipelines.tasks.registry import task_of
from snellen.store.parquet.unit_files import sha256_path
from snellen.store.runs import list_test_runs
from snellen.store.sql.database import Database
from snellen.store.views import JobView, RunView

ALL = "all"
_EVERY = 1_000_000
_RESUMABLE = frozenset({"interrupted", "cancelled"})


@dataclass(frozen=True, slots=True)
class SweptCheckpoint:
    """The outcome of one checkpoint of a sweep.

    Attributes:
        checkpoint: ``best``, ``last`` or the epoch as text.
        epoch: the checkpoint's own numbering; None for best and last.
        path: of the file.
        name: name of its run.
        run: the completed run; None if it failed.
        error: why it failed.
        was_there: the run was completed before.
    """

    checkpoint: str
    epoch: int | None
    path: str
    name: str
    run: RunView | None = None
    error: SnellenError | None = None
    was_there: bool = False


def is_sweep(config: EvaluateConfig) -> bool:
    """Return True if the configuration names several checkpoints: ``all`` or ``3,7,best``."""
    which = config.model.checkpoint
    several = isinstance(which, str) and (which == ALL or "," in which)
    return config.model.job is not None and several


class Sweep:
    """The checkpoints of a job that a configuration names, and the runs that they have."""

    def __init__(self, config: EvaluateConfig, database: str | None, reporter: Reporter) -> None:
        """Find the checkpoints; nothing is evaluated.

        Raises:
            ConfigError, InputError: CHECKPOINT_NOT_FOUND, JOB_NOT_FOUND, or the dataset cannot be
                opened.
        """
        if database is not None:
            config = config.model_copy(update={"database": database})
        self._config = with_absolute_paths(with_registered_dataset(config))
        self._reporter = reporter
        open_source(self._config.dataset)
        db = Database.open(self._config.database)
        try:
            self.job = find_job(db, self._config.model.job or "")
            self.checkpoints = _entries(self.job, str(self._config.model.checkpoint))
            # Rows of a list are without details; they are read again when they are taken.
            self._known = list_test_runs(db, training_job_id=self.job.id, limit=_EVERY)
        finally:
            db.close()

    def run(self) -> Iterator[SweptCheckpoint]:
        """Evaluate one checkpoint after another; one that fails does not stop the others.

        A completed run of the same name, settings, checkpoint and images is taken as it is, an
        interrupted one is resumed.

        Raises:
            RunInterrupted: Ctrl-C; the next sweep goes on.
        """
        manifest_hash = self._manifest_hash() if self._known else None
        total = len(self.checkpoints)
        for number, entry in enumerate(self.checkpoints, 1):
            name = self._name(entry)
            swept = SweptCheckpoint(entry.name, entry.epoch, str(entry.path), name)
            config = self._of(entry, name)
            known = self._same(config, entry.path, manifest_hash)
            if known is not None and known.status == "completed":
                self._reporter.note(f"{name}: run {known.id} is completed already")
                yield replace(swept, run=known, was_there=True)
                continue
            self._reporter.note(f"Checkpoint {number} of {total}: {entry.name}")
            try:
                yield replace(swept, run=self._evaluated(config, known))
            except RunInterrupted:
                raise
            except SnellenError as error:
                self._reporter.note(f"{name} failed: {error.message} [{error.code}]")
                yield replace(swept, error=error)

    def _evaluated(self, config: EvaluateConfig, known: RunView | None) -> RunView:
        if known is not None:
            runner = TestRunner(database=config.database, reporter=self._reporter)
            resumed: RunView = runner.resume(known.id)
            return resumed
        return TestRunner(config, reporter=self._reporter).run_test()

    def _name(self, entry: CheckpointEntry) -> str:
        base = self._config.name or self.job.name
        return f"{base}-{entry.name}" if entry.epoch is None else f"{base}-epoch-{entry.epoch}"

    def _of(self, entry: CheckpointEntry, name: str) -> EvaluateConfig:
        which: str | int = entry.name if entry.epoch is None else entry.epoch
        model = self._config.model.model_copy(update={"checkpoint": which})
        return self._config.model_copy(update={"model": model, "name": name})

    def _same(
        self, config: EvaluateConfig, path: Path, manifest_hash: str | None
    ) -> RunView | None:
        """Return the newest run of the same name, settings, checkpoint and images."""
        wanted = hashed_settings(config)
        digest = None
        for run in self._known:
            if run.name != config.name or run.results_of is not None or run.config is None:
                continue
            if run.status not in {"completed", *_RESUMABLE}:
                continue
            before = build_config(run.config)
            same = hashed_settings(before) == wanted and before.metrics == config.metrics
            stored: Mapping[str, Any] = run.fingerprint or {}
            digest = digest or sha256_path(path)
            same = same and stored.get("checkpoint_sha256") == digest
            if same and stored.get("manifest_hash") == manifest_hash:
                return run
        return None

    def _manifest_hash(self) -> str | None:
        """List the images once, to find the runs that are on the same ones."""
        self._reporter.status(f"Listing images of {self._config.dataset.path}")
        source = open_source(self._config.dataset)
        source.needs = task_of(self.job.task_type).needs
        class_map = self._config.model.class_map
        pairs = class_map.items() if isinstance(class_map, dict) else ()
        excluded = frozenset(name for name, target in pairs if target is None)
        with temporary_folder("sweep") as folder:
            file = folder / MANIFEST_NAME
            return write_manifest(source, source.describe(), file, exclude=excluded).sha256


def _entries(job: JobView, which: str) -> list[CheckpointEntry]:
    """Return the checkpoints of a job by name, each file once.

    Raises:
        ConfigError: CHECKPOINT_NOT_FOUND, an empty name.
        InputError: CHECKPOINT_NOT_FOUND, listing those that exist.
    """
    where = Path(job.output_dir or "")
    existing = {entry.name: entry for entry in list_checkpoints(where)} if where.is_dir() else {}
    if which != ALL:
        names = [name.strip() for name in which.split(",")]
        if not all(names):
            raise ConfigError(
                "CHECKPOINT_NOT_FOUND",
                f"'{which}' has an empty name. Expected checkpoints separated by commas, such as "
                "3,7,best.",
            )
        wanted = [str(int(name)) if name.isdecimal() else name for name in names]
        for name in wanted:
            resolve_checkpoint(where, name, job.framework)
        return [existing[name] for name in dict.fromkeys(wanted)]
    if not existing:
        raise InputError(
            "CHECKPOINT_NOT_FOUND",
            f"training job {job.name!r} has no folder with several checkpoints ('{where}'). "
            f"Expected a run directory. Evaluate its file instead: {job.name}@best.",
        )
    return _unique(list(existing.values()))


def _unique(entries: Sequence[CheckpointEntry]) -> list[CheckpointEntry]:
    """Return epochs in rising order, then best and last unless they are copies of others."""
    numbered = sorted((e for e in entries if e.epoch is not None), key=lambda e: e.epoch or 0)
    found: dict[str, CheckpointEntry] = {}
    for entry in (*numbered, *(e for e in entries if e.epoch is None)):
        found.setdefault(sha256_path(entry.path), entry)
    return list(found.values())
