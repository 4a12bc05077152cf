"""Checkpoints in a comparison (``JOB@best``): evaluated first, or found among the runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from snellen.adapters.errors import ConfigError, InputError
from snellen.analysis.reader import completed_owner
from snellen.pipelines.config.evaluate import EvaluateConfig
from snellen.pipelines.config.loader import build_as, build_config
from snellen.pipelines.models.training_jobs import checkpoint_of, find_job
from snellen.pipelines.planning.fingerprint import hashed_settings, snellen_version
from snellen.pipelines.progress import Reporter
from snellen.pipelines.runs.runner import TestRunner
from snellen.store.parquet.unit_files import sha256_path
from snellen.store.runs import get_test_run, list_test_runs
from snellen.store.sql.database import Database
from snellen.store.views import RunView

_OF_MODEL = ("model.job", "model.checkpoint")
"""Settings that name a checkpoint; its sha256 tells whether it is the same one."""


@dataclass(frozen=True, slots=True)
class CheckpointWord:
    """A word that names a checkpoint.

    Attributes:
        job: name, id or run directory of a training job.
        which: best, last or an epoch.
    """

    job: str
    which: str

    @classmethod
    def parse(cls, word: str) -> CheckpointWord | None:
        """Read ``JOB@CHECKPOINT``; None for any other word.

        Example:
            >>> CheckpointWord.parse("digits@best")
            CheckpointWord(job='digits', which='best')
            >>> CheckpointWord.parse("digits") is None
            True
        """
        job, at, which = word.rpartition("@")
        known = which in {"best", "last"} or which.isdecimal()
        return cls(job, which) if at and job and known else None

    def __str__(self) -> str:
        return f"{self.job}@{self.which}"


def compared_runs(
    db: Database, words: Sequence[str], reporter: Reporter, config: EvaluateConfig | None = None
) -> list[RunView]:
    """Return the runs that words name; a checkpoint without a run is evaluated first.

    A checkpoint is evaluated with the configuration of the first run, or with ``config``; model,
    dataset and settings are those, only the checkpoint is another one. A completed run of the same
    checkpoint, images and settings is used instead, if there is one.

    Args:
        db: the open database.
        words: ids, tags or names of runs, or ``JOB@CHECKPOINT``.
        reporter: told what is done.
        config: of the evaluation; None for that of the first word, which is a run then.

    Raises:
        InputError: RUN_NOT_FOUND; JOB_NOT_FOUND, CHECKPOINT_NOT_FOUND.
        ConfigError: COMPARE_CONFIG, the first word is a checkpoint and there is no ``config``.
        ConfigError, InputError, RunError: an evaluation cannot be started, or fails.
    """
    found: list[RunView] = []
    for word in words:
        run, checkpoint = _named(db, word)
        if run is None:
            assert checkpoint is not None
            run = _evaluated(db, checkpoint, _Basis.of(db, checkpoint, found, config), reporter)
        found.append(run)
    return found


def _named(db: Database, word: str) -> tuple[RunView | None, CheckpointWord | None]:
    """Return the run, or the checkpoint if there is no such run."""
    try:
        return get_test_run(db, word), None
    except InputError as error:
        checkpoint = CheckpointWord.parse(word)
        if error.code != "RUN_NOT_FOUND" or checkpoint is None:
            raise
        return None, checkpoint


@dataclass(frozen=True, slots=True)
class _Basis:
    """The configuration of an evaluation, and the run that it is of.

    Attributes:
        config: of the run, or given.
        run: the first run of the comparison; None with a given configuration.
    """

    config: EvaluateConfig
    run: RunView | None

    @classmethod
    def of(
        cls,
        db: Database,
        checkpoint: CheckpointWord,
        before: Sequence[RunView],
        config: EvaluateConfig | None,
    ) -> _Basis:
        if config is not None:
            return cls(config, None)
        if not before:
            raise ConfigError(
                "COMPARE_CONFIG",
                f"'{checkpoint}' is a checkpoint, and no run precedes it. Expected a run first; "
                "its configuration is used for the checkpoints. Name one, or add --config FILE.",
            )
        completed_owner(db, before[0])
        return cls(build_config(before[0].config), before[0])

    @property
    def source(self) -> str:
        return (
            "the given configuration" if self.run is None else f"the settings of run {self.run.id}"
        )


def _evaluated(
    db: Database, checkpoint: CheckpointWord, basis: _Basis, reporter: Reporter
) -> RunView:
    job = find_job(db, checkpoint.job)
    path = checkpoint_of(job, checkpoint.which)
    data = basis.config.model_dump(mode="json")
    data["model"] |= {"job": job.id, "checkpoint": checkpoint.which}
    data["name"] = f"{job.name}-{checkpoint.which}"
    config = build_as(EvaluateConfig, data, where=str(checkpoint))
    known = _completed(db, job.id, path, config, basis.run)
    if known is not None:
        reporter.note(f"{checkpoint}: run {known.id} has scored it on the same images")
        return known
    reporter.note(f"{checkpoint}: no run yet; evaluating it with {basis.source}")
    found: RunView = TestRunner(config, database=db.url, reporter=reporter).run_test()
    return found


def _completed(
    db: Database, job_id: int, path: Path, config: EvaluateConfig, base: RunView | None
) -> RunView | None:
    """Return the newest completed run with the fingerprint that the evaluation would have."""
    if base is None or not path.is_file():
        return None  # the images that a new evaluation would list are not known
    owner = completed_owner(db, base)
    manifest = (owner.fingerprint or {}).get("manifest_hash")
    sha256 = sha256_path(path)
    wanted = _settings(config)
    for run in list_test_runs(db, status="completed", training_job_id=job_id, limit=1000):
        stored = run.fingerprint or {}
        versions: dict[str, Any] = stored.get("versions") or {}
        if (
            run.results_of is None
            and manifest is not None
            and stored.get("manifest_hash") == manifest
            and stored.get("checkpoint_sha256") == sha256
            and versions.get("snellen") == snellen_version()
            and _settings(build_config(run.config)) == wanted
        ):
            return get_test_run(db, run.id)
    return None


def _settings(config: EvaluateConfig) -> dict[str, Any]:
    """Return what results and metrics depend on besides the checkpoint."""
    settings = {key: v for key, v in hashed_settings(config).items() if key not in _OF_MODEL}
    return {**settings, "metrics": config.metrics.model_dump(mode="json"), "seed": config.run.seed}
