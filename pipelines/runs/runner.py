"""What the runners of test runs and inference jobs have in common."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Generic

from snellen.pipelines.config.evaluate import EvaluateConfig
from snellen.pipelines.config.loader import apply_overrides, build_as, with_absolute_paths
from snellen.pipelines.config.predict import PredictConfig
from snellen.pipelines.progress import Reporter
from snellen.pipelines.runs.dry_run import preview
from snellen.pipelines.runs.execute import Attempt
from snellen.pipelines.runs.kinds import Config, RunKind, View
from snellen.pipelines.runs.wording import words_of
from snellen.store.sql.database import Database

if TYPE_CHECKING:
    from snellen.adapters.base import Adapter


class Runner(Generic[Config, View]):
    """From a configuration, or an adapter that is loaded already, to a finished row.

    Args:
        config: the whole configuration; or an adapter, which then works in this process
            (``engine`` inline) on the images that are named later; ``resume`` needs neither.
        engine: overrides ``run.engine``.
        database: overrides ``database``.
        reporter: told about progress.
    """

    kind: RunKind[Config, View]

    def __init__(
        self,
        config: Config | Adapter | None = None,
        *,
        engine: str | None = None,
        database: str | None = None,
        reporter: Reporter | None = None,
    ) -> None:
        self._adapter: Adapter | None = None
        self._config: Config | None = None
        if config is None or isinstance(config, self.kind.config):
            self._config = config
        elif isinstance(config, EvaluateConfig | PredictConfig):
            raise TypeError(f"{type(self).__name__} takes a {self.kind.config.__name__}")
        else:
            self._adapter = config
        self._engine = engine
        self._database = database
        self._reporter = reporter or Reporter()

    def resume(self, reference: int | str, overrides: Sequence[str] = ()) -> View:
        """Go on with what did not end; what is completed is returned as it is.

        Args:
            reference: id, name or ``latest``.
            overrides: ``key=value`` words for settings that do not make the result.

        Raises:
            InputError: RUN_NOT_FOUND, RUN_BUSY, RESUME_CHANGED with every difference.
            RunError: it failed again; it can be resumed.
            RunInterrupted: Ctrl-C; it can be resumed.
        """
        with ExitStack() as stack:
            db = Database.open(self._database, create=False)
            stack.callback(db.close)
            run = self.kind.get(db, reference)
            self._check_resumable(run)
            data = apply_overrides(dict(run.config or {}), overrides)
            where = f"{words_of(self.kind.name).noun} {run.id}"
            config = self._decided(build_as(self.kind.config, data, where=where))
            return Attempt(self.kind, config, db, self._reporter, stack, None).resume(run)

    def _start(self, data: dict[str, Any]) -> View:
        """Something new, from the settings of a configuration."""
        config = self._configured(data)
        with ExitStack() as stack:
            db = Database.open(config.database)
            stack.callback(db.close)
            return Attempt(self.kind, config, db, self._reporter, stack, self._adapter).start()

    def _preview(self, data: dict[str, Any]) -> dict[str, Any]:
        """What `_start` would do; see `snellen.pipelines.runs.dry_run.preview`."""
        return preview(self.kind, self._configured(data), self._reporter)

    def _configured(self, data: dict[str, Any]) -> Config:
        if self._engine is not None:
            data["run"]["engine"] = self._engine
        if self._database is not None:
            data["database"] = self._database
        config = self._decided(with_absolute_paths(build_as(self.kind.config, data)))
        self._check_named(config)
        return config

    def _check_named(self, config: Config) -> None:
        """Raise InputError for input that is missing, before run tables are made for it."""

    def _check_resumable(self, run: View) -> None:
        """Raise InputError for a row that has nothing to go on with."""

    def _decided(self, config: Config) -> Config:
        """The configuration with what must be decided before anything starts."""
        return config
