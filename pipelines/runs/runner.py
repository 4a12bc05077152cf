"""The runners: from a configuration to a finished run, and back to it after a stop."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from snellen.adapters.errors import ConfigError, InputError
from snellen.adapters.runtime.temporary_folder import temporary_folder
from snellen.pipelines.config.evaluate import EvaluateConfig
from snellen.pipelines.config.loader import apply_overrides, build_as, with_absolute_paths
from snellen.pipelines.config.predict import AnyConfig, Images, PredictConfig, path_of
from snellen.pipelines.data.registered import with_registered_dataset
from snellen.pipelines.execution.retry_failed import error_codes
from snellen.pipelines.models.reference import sections_of
from snellen.pipelines.progress import Reporter
from snellen.pipelines.runs.evaluation import EVALUATION
from snellen.pipelines.runs.execute import execute, resume, submit_and_execute
from snellen.pipelines.runs.kinds import RunContext, RunKind
from snellen.pipelines.runs.prediction import PREDICTION
from snellen.pipelines.runs.setup.dry_run import dry_run
from snellen.pipelines.runs.submit import submit
from snellen.store.service.job_queue import dequeue, enqueue
from snellen.store.sql.database import Database
from snellen.store.views import AnyRun, InferenceJobView, RunView

if TYPE_CHECKING:
    from snellen.adapters.base import Adapter


class _Runner:
    """Base of both runners; the subclass names the kind of run.

    Args:
        config: the whole configuration; or a loaded adapter, which then runs in this process
            (``engine`` inline) on the images that are named later; ``resume`` and ``execute``
            need neither.
        engine: overrides ``run.engine``.
        database: overrides ``database``.
        output_dir: overrides ``output.dir``.
        reporter: told about progress.
    """

    kind: RunKind
    _named: str

    def __init__(
        self,
        config: AnyConfig | Adapter | None = None,
        *,
        engine: str | None = None,
        database: str | None = None,
        output_dir: str | None = None,
        reporter: Reporter | None = None,
    ) -> None:
        self._adapter: Adapter | None = None
        self._config: AnyConfig | None = None
        if config is None or isinstance(config, self.kind.config):
            self._config = config
        elif isinstance(config, EvaluateConfig | PredictConfig):
            raise TypeError(f"{type(self).__name__} takes a {self.kind.config.__name__}")
        else:
            self._adapter = config
        self._engine = engine
        self._database = database
        self._output_dir = output_dir
        self._reporter = reporter or Reporter()

    def execute(self, run_id: int) -> Any:
        """Execute a run that was submitted before, in this process.

        Raises:
            InputError: RUN_NOT_FOUND; RUN_STATUS, it is not pending; RUN_BUSY; or what is wrong
                with the model or the images, which the row says, too (status ``failed``).
            RunError: the run was started and failed; it can be resumed.
            RunInterrupted, RunCancelled: it can be resumed.
        """
        with self._stored(run_id) as (context, run):
            dequeue(context.db, self.kind.name, run.id)
            return execute(context, run.id)

    def resume(
        self,
        reference: int | str,
        overrides: Sequence[str] = (),
        *,
        retry_failed: bool | str | Sequence[str] = False,
    ) -> Any:
        """Execute what is left of a run; a completed one is returned as it is.

        Args:
            reference: id, name or ``latest``.
            overrides: ``key=value`` words for settings that do not make the result.
            retry_failed: score failed images again, of a completed run, too: True for all, or
                their error codes, in a list or separated by commas.

        Raises:
            ConfigError: ERROR_CODE, an unknown error code.
            InputError: RUN_NOT_FOUND, RUN_BUSY, RESUME_CHANGED with every difference.
            RunError: it failed again; it can be resumed.
            RunInterrupted, RunCancelled: it can be resumed.
        """
        codes = error_codes(retry_failed)
        with self._stored(reference, overrides) as (context, run):
            return resume(context, run, codes)

    @contextmanager
    def _stored(
        self, reference: int | str, overrides: Sequence[str] = ()
    ) -> Iterator[tuple[RunContext, AnyRun]]:
        """Open a stored run with its own configuration."""
        db = Database.open(self._database, create=False)
        try:
            run = self.kind.get(db, reference)
            self.kind.check_resumable(run)
            data = apply_overrides(dict(run.config or {}), overrides)
            config = build_as(self.kind.config, data, where=f"{self.kind.words.noun} {run.id}")
            yield RunContext(self.kind, config, db, self._reporter), run
        finally:
            db.close()

    @contextmanager
    def _opened(self, images: dict[str, Any]) -> Iterator[RunContext]:
        """Open the run tables for the configuration with other images."""
        config = self._configured(images)
        db = Database.open(config.database)
        try:
            yield RunContext(self.kind, config, db, self._reporter, self._adapter)
        finally:
            db.close()

    @contextmanager
    def _only_looking(self, images: dict[str, Any]) -> Iterator[RunContext]:
        """Open the run tables to read them; ones that do not exist are not created."""
        config = self._configured(images)
        with ExitStack() as stack:
            try:
                db = Database.open(config.database, create=False)
            except InputError as error:
                if error.code != "DATABASE_NOT_FOUND":
                    raise
                folder = stack.enter_context(temporary_folder("plan"))
                db = Database.open(f"sqlite:///{folder}/empty.db")
            stack.callback(db.close)
            yield RunContext(self.kind, config, db, self._reporter, self._adapter)

    def _configured(self, images: dict[str, Any]) -> AnyConfig:
        """Return the configuration with absolute paths and everything decided."""
        config = self._config
        if config is None:
            if self._adapter is None:
                raise ConfigError(
                    "CONFIG_MISSING", f"{self._named} needs a configuration, or an adapter."
                )
            data = {**sections_of(self._adapter), "dataset": images}
            config = build_as(self.kind.config, data)
        elif images:
            dataset = {**config.dataset.model_dump(exclude_unset=True), **images}
            section = build_as(type(config.dataset), dataset, where="dataset")
            config = config.model_copy(update={"dataset": section})
        if self._engine is not None:
            run = config.run.model_copy(update={"engine": self._engine})
            config = config.model_copy(update={"run": run})
        if self._database is not None:
            config = config.model_copy(update={"database": self._database})
        if self._output_dir is not None:
            output = config.output.model_copy(update={"dir": self._output_dir})
            config = config.model_copy(update={"output": output})
        config = with_absolute_paths(with_registered_dataset(config))
        self.kind.check_paths(config)
        return config


class TestRunner(_Runner):
    """Evaluates a model on labelled images and stores a test run.

    A loaded adapter is scored on the ``dataset_path`` of `run_test`. See the base class for the
    arguments.
    """

    __test__ = False  # not a test case, whatever its name looks like to pytest
    kind = EVALUATION
    _named = "run_test"

    def run_test(self, dataset_path: str | Path | None = None, split: str | None = None) -> RunView:
        """Run the whole test and return the completed run.

        Args:
            dataset_path: overrides ``dataset.path``.
            split: overrides ``dataset.split``.

        Raises:
            ConfigError, InputError: nothing was started, nothing is left behind.
            RunError: the run was started and failed; it can be resumed.
            RunInterrupted, RunCancelled: it can be resumed.
        """
        with self._opened(self._images(dataset_path, split)) as context:
            run = submit_and_execute(context)
        assert isinstance(run, RunView)
        return run

    def submit(self, dataset_path: str | Path | None = None, split: str | None = None) -> int:
        """Validate the test and store it as a pending run, without loading a model.

        Returns:
            The id of the run; `execute` runs it, in this process or in another one, and so does
            a worker (``snellen worker``, ``snellen serve``) on the same run tables.

        Raises:
            ConfigError, InputError: nothing is stored.
        """
        with self._opened(self._images(dataset_path, split)) as context:
            return _queued(context, submit(context))

    def plan_test(
        self, dataset_path: str | Path | None = None, split: str | None = None
    ) -> dict[str, Any]:
        """Plan a test run without starting it; see `dry_run.dry_run`."""
        with self._only_looking(self._images(dataset_path, split)) as context:
            return dry_run(context)

    def _images(self, path: str | Path | None, split: str | None) -> dict[str, Any]:
        if self._config is None and (self._adapter is None or path is None):
            raise ConfigError(
                "CONFIG_MISSING", "run_test needs a configuration, or an adapter and a path."
            )
        given = {"path": None if path is None else str(path), "split": split}
        return {key: value for key, value in given.items() if value is not None}


class InferenceRunner(_Runner):
    """Runs a model on unlabelled images and stores an inference job.

    See the base class for the arguments.
    """

    kind = PREDICTION
    _named = "run_inference"

    def run_inference(self, images: Images | None = None) -> InferenceJobView:
        """Predict every image and return the completed job.

        Args:
            images: override ``dataset.path``.

        Raises:
            ConfigError, InputError: nothing was started, nothing is left behind.
            RunError: the job was started and failed; it can be resumed.
            RunInterrupted, RunCancelled: it can be resumed.
        """
        with self._opened(_path(images)) as context:
            job = submit_and_execute(context)
        assert isinstance(job, InferenceJobView)
        return job

    def submit(self, images: Images | None = None) -> int:
        """Validate the job and store it as pending, without loading a model.

        Returns:
            The id of the job; `execute` runs it, in this process or in another one, and so does
            a worker.

        Raises:
            ConfigError, InputError: nothing is stored.
        """
        with self._opened(_path(images)) as context:
            return _queued(context, submit(context))

    def plan_inference(self, images: Images | None = None) -> dict[str, Any]:
        """Plan an inference job without starting it; see `dry_run.dry_run`."""
        with self._only_looking(_path(images)) as context:
            return dry_run(context)


def _queued(context: RunContext, run_id: int) -> int:
    enqueue(context.db, context.kind.name, run_id)
    return run_id


def _path(images: Images | None) -> dict[str, Any]:
    return {} if images is None else {"path": path_of(images)}
