"""The test runner: from a configuration to a finished test run, and back to it after a stop."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from adapters.types import ConfigError, InputError
from pipelines.adapter_config import sections_of
from pipelines.attempt import Attempt
from pipelines.config import RunConfig
from pipelines.config_load import apply_overrides, build_config
from pipelines.evaluation import EVALUATION_KIND
from pipelines.paths import with_absolute_paths
from pipelines.reporter import Reporter
from store.database import Database
from store.runs import get_test_run
from store.views import RunView

if TYPE_CHECKING:
    from adapters.base import Adapter


class TestRunner:
    """Evaluates a model on labelled images and stores a test run.

    Args:
        config: the whole configuration; or an adapter that is loaded already, which is then
            scored in this process (``engine`` inline) on the ``dataset_path`` of ``run_test``;
            ``resume`` needs neither.
        engine: overrides ``run.engine``.
        reporter: told about progress.
    """

    __test__ = False  # not a test case, whatever its name looks like to pytest

    def __init__(
        self,
        config: RunConfig | Adapter | None = None,
        *,
        engine: str | None = None,
        database: str | None = None,
        reporter: Reporter | None = None,
    ) -> None:
        self._adapter: Adapter | None = None
        self._config: RunConfig | None = None
        if config is None or isinstance(config, RunConfig):
            self._config = config
        else:
            self._adapter = config
        self._engine = engine
        self._database = database
        self._reporter = reporter or Reporter()

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
        config = self._resolve_config(dataset_path, split)
        with ExitStack() as stack:
            db = Database.open(config.database)
            stack.callback(db.close)
            return Attempt(
                EVALUATION_KIND, config, db, self._reporter, stack, self._adapter
            ).start()

    def resume(self, reference: int | str, overrides: Sequence[str] = ()) -> RunView:
        """Go on with a run that did not end; a completed one is returned as it is.

        Args:
            reference: id, name or ``latest``.
            overrides: ``key=value`` words for settings that do not make the result.

        Raises:
            InputError: RUN_NOT_FOUND, RUN_BUSY, RESUME_CHANGED with every difference.
            RunError, RunInterrupted: as ``run_test``.
        """
        with ExitStack() as stack:
            db = Database.open(self._database, create=False)
            stack.callback(db.close)
            run = get_test_run(db, reference)
            if run.results_of is not None:
                raise InputError(
                    "RUN_IS_RESCORE", f"run {run.id} only re-reads run {run.results_of}: rescore."
                )
            config = _stored_config(run, overrides)
            return Attempt(EVALUATION_KIND, config, db, self._reporter, stack, None).resume(run)

    def _resolve_config(self, dataset_path: str | Path | None, split: str | None) -> RunConfig:
        if self._config is not None:
            data = self._config.model_dump(mode="json")
        else:
            if self._adapter is None or dataset_path is None:
                raise ConfigError(
                    "CONFIG_MISSING",
                    "run_test needs a configuration, or an adapter and a path.",
                )
            data = {**sections_of(self._adapter), "dataset": {"path": str(dataset_path)}}
        for section, key, value in (
            ("dataset", "path", str(dataset_path) if dataset_path is not None else None),
            ("dataset", "split", split),
            ("run", "engine", self._engine),
        ):
            if value is not None:
                data[section][key] = value
        if self._database is not None:
            data["database"] = self._database
        return with_absolute_paths(build_config(data))


def _stored_config(run: RunView, overrides: Sequence[str]) -> RunConfig:
    return build_config(apply_overrides(dict(run.config or {}), overrides), where=f"run {run.id}")
