"""The test runner: from a configuration to a finished test run, and back to it after a stop."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from snellen.adapters.errors import ConfigError, InputError
from snellen.pipelines.config.evaluate import EvaluateConfig
from snellen.pipelines.models.adapter_config import sections_of
from snellen.pipelines.runs.evaluation import EVALUATION_KIND
from snellen.pipelines.runs.runner import Runner
from snellen.store.views import RunView


class TestRunner(Runner[EvaluateConfig, RunView]):
    """Evaluates a model on labelled images and stores a test run.

    An adapter that is loaded already is scored on the ``dataset_path`` of ``run_test``.
    """

    __test__ = False  # not a test case, whatever its name looks like to pytest
    kind = EVALUATION_KIND

    def run_test(self, dataset_path: str | Path | None = None, split: str | None = None) -> RunView:
        """Run the whole test and return the completed run.

        Args:
            dataset_path: overrides ``dataset.path``.
            split: overrides ``dataset.split``.

        Raises:
            ConfigError, InputError: nothing was started, nothing is left behind.
            RunError: the run was started and failed; it can be resumed.
            RunInterrupted: Ctrl-C; it can be resumed.
        """
        return self._start(self._data(dataset_path, split))

    def plan_test(
        self, dataset_path: str | Path | None = None, split: str | None = None
    ) -> dict[str, Any]:
        """Plan a test run without starting it; see `dry_run.preview`."""
        return self._preview(self._data(dataset_path, split))

    def _data(self, dataset_path: str | Path | None, split: str | None) -> dict[str, Any]:
        if self._config is not None:
            data = self._config.model_dump(mode="json")
        else:
            if self._adapter is None or dataset_path is None:
                raise ConfigError(
                    "CONFIG_MISSING",
                    "run_test needs a configuration, or an adapter and a path.",
                )
            data = {**sections_of(self._adapter), "dataset": {}}
        if dataset_path is not None:
            data["dataset"]["path"] = str(dataset_path)
        if split is not None:
            data["dataset"]["split"] = split
        return data

    def _check_resumable(self, run: RunView) -> None:
        if run.results_of is not None:
            raise InputError(
                "RUN_IS_RESCORE", f"run {run.id} only re-reads run {run.results_of}: rescore."
            )
