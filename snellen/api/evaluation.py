"""Evaluate, submit, execute and cancel test runs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Unpack

from snellen.api.keywords import EvaluateOptions, check_keywords
from snellen.api.opened import opened
from snellen.api.runs import TestRun
from snellen.pipelines.config.evaluate import EvaluateConfig
from snellen.pipelines.config.loader import build_config, merged
from snellen.pipelines.progress import Reporter
from snellen.pipelines.runs.cancel import cancel_run
from snellen.pipelines.runs.evaluation import EVALUATION
from snellen.pipelines.runs.runner import TestRunner
from snellen.store.runs import get_test_run

Config = str | Path | Mapping[str, Any] | EvaluateConfig
"""A YAML file, a nested mapping of the same keys, or a configuration."""


def evaluate(config: Config | None = None, **options: Unpack[EvaluateOptions]) -> TestRun:
    """Evaluate a checkpoint on a labelled dataset and return the completed run.

    ``evaluate(checkpoint="best.pt", dataset="data.yaml")``; ``evaluate("mine.yaml")``;
    ``evaluate("mine.yaml", checkpoint="other.pt", overrides=["run.batch_size=64"])``.

    Args:
        config: the configuration; None if the options name the model and the dataset.
        options: see `snellen.api.keywords.EvaluateOptions`.

    Raises:
        ConfigError, InputError: nothing was started.
        RunError, RunInterrupted: the run can be resumed.
    """
    check_keywords("evaluate", options, EvaluateOptions)
    parsed = _parsed(config, options)
    run = TestRunner(parsed, reporter=options.get("reporter")).run_test()
    return TestRun(run, parsed.database)


def submit(config: Config | None = None, **options: Unpack[EvaluateOptions]) -> int:
    """Validate a configuration and store it as a pending run, without loading a model.

    Args:
        config: as in `evaluate`.
        options: as in `evaluate`.

    Returns:
        The id of the run, for `execute` in this or another process.

    Raises:
        ConfigError, InputError: nothing was stored.
    """
    check_keywords("submit", options, EvaluateOptions)
    return TestRunner(_parsed(config, options)).submit()


def execute(
    run_id: int, *, database: str | None = None, reporter: Reporter | None = None
) -> TestRun:
    """Execute a pending run in this process and return the completed run.

    Args:
        run_id: id that `submit` returned.
        database: URL of the run tables; None takes the default.
        reporter: receives progress; None is silent.

    Raises:
        InputError: RUN_NOT_FOUND; RUN_STATUS if the run is not pending; or an error of the model
            or the dataset, which is also stored with the run.
        RunError, RunInterrupted: the run can be resumed.
    """
    run = TestRunner(database=database, reporter=reporter).execute(run_id)
    return TestRun(run, database)


def cancel(reference: int | str, *, database: str | None = None, timeout: float = 60.0) -> TestRun:
    """Cancel a pending or running run and wait until it has stopped.

    The run may belong to another process. It can be resumed afterwards.

    Args:
        reference: id, name or ``latest``.
        database: URL of the run tables; None takes the default.
        timeout: maximum time to wait, in seconds.

    Returns:
        The run: ``cancelled``, or still ``running`` if the timeout expired.

    Raises:
        InputError: RUN_NOT_FOUND; RUN_COMPLETED if the run has already completed.
    """
    with opened(database) as db:
        run = cancel_run(db, EVALUATION, reference, timeout=timeout)
        return TestRun(get_test_run(db, run.id), database)


def _parsed(config: Config | None, options: EvaluateOptions) -> EvaluateConfig:
    checkpoint, dataset = options.get("checkpoint"), options.get("dataset")
    settings = {
        "model.checkpoint": str(checkpoint) if isinstance(checkpoint, Path) else checkpoint,
        "model.job": options.get("job"),
        "dataset.path": str(dataset) if dataset is not None else None,
        "dataset.split": options.get("split"),
        "name": options.get("name"),
    }
    given = config.model_dump(exclude_unset=True) if isinstance(config, EvaluateConfig) else config
    data, where = merged(given, settings, options.get("overrides", ()))
    return build_config(data, where=where)
