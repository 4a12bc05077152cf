"""Evaluate, submit, execute and cancel test runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from snellen.api.opened import opened
from snellen.api.runs import TestRun
from snellen.pipelines.config.evaluate import EvaluateConfig
from snellen.pipelines.config.loader import build_config, load_config
from snellen.pipelines.progress import Reporter
from snellen.pipelines.runs.control import cancel_run
from snellen.pipelines.runs.evaluation import EVALUATION
from snellen.pipelines.runs.runner import TestRunner
from snellen.store.runs import get_test_run

Config = str | Path | Mapping[str, Any] | EvaluateConfig
"""A YAML file, a nested mapping of the same keys, or a configuration."""


def evaluate(
    config: Config, *, overrides: Sequence[str] = (), reporter: Reporter | None = None
) -> TestRun:
    """Evaluate a checkpoint on a labelled dataset and return the completed run.

    Args:
        config: the configuration.
        overrides: ``key.sub=value`` strings that override keys of a YAML file.
        reporter: receives progress; None is silent.

    Raises:
        ConfigError, InputError: nothing was started.
        RunError, RunInterrupted: the run can be resumed.
    """
    parsed = _parsed(config, overrides)
    return TestRun(TestRunner(parsed, reporter=reporter).run_test(), parsed.database)


def submit(config: Config, *, overrides: Sequence[str] = ()) -> int:
    """Validate a configuration and store it as a pending run, without loading a model.

    Args:
        config: the configuration.
        overrides: ``key.sub=value`` strings that override keys of a YAML file.

    Returns:
        The id of the run, for `execute` in this or another process.

    Raises:
        ConfigError, InputError: nothing was stored.
    """
    return TestRunner(_parsed(config, overrides)).submit()


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


def _parsed(config: Config, overrides: Sequence[str]) -> EvaluateConfig:
    if isinstance(config, EvaluateConfig):
        return config
    if isinstance(config, str | Path):
        return load_config(config, overrides)
    return build_config(config)
