"""The inference runner: from a configuration to a finished inference job, and back to it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from adapters.types import ConfigError
from pipelines.adapter_config import sections_of
from pipelines.attempt import Attempt
from pipelines.config_load import apply_overrides, build_as
from pipelines.paths import with_absolute_paths
from pipelines.predict_config import PredictConfig
from pipelines.prediction import PREDICTION_KIND
from pipelines.reporter import Reporter
from pipelines.sources.unlabelled import are_few, check_images
from store.database import Database
from store.runs import get_inference_job
from store.views import InferenceJobView

if TYPE_CHECKING:
    from adapters.base import Adapter

Images = str | Path | Sequence[str | Path]
"""A folder, an image, a manifest or the like; or several images and folders, in their order."""


class InferenceRunner:
    """Runs a model on images without labels and stores an inference job.

    Args:
        config: the whole configuration; or an adapter that is loaded already, which then looks at
            the images in this process (``engine`` inline); ``resume`` needs neither.
        engine: overrides ``run.engine``.
        database: overrides ``database``.
        reporter: told about progress.
    """

    def __init__(
        self,
        config: PredictConfig | Adapter | None = None,
        *,
        engine: str | None = None,
        database: str | None = None,
        reporter: Reporter | None = None,
    ) -> None:
        self._adapter: Adapter | None = None
        self._config: PredictConfig | None = None
        if config is None or isinstance(config, PredictConfig):
            self._config = config
        else:
            self._adapter = config
        self._engine = engine
        self._database = database
        self._reporter = reporter or Reporter()

    def run_inference(self, images: Images | None = None) -> InferenceJobView:
        """Predict every image and return the completed job.

        Args:
            images: override ``dataset.path``.

        Raises:
            ConfigError, InputError: nothing was started, nothing is left behind.
            RunError: the job was started and failed; it can be resumed.
            RunInterrupted: Ctrl-C; it can be resumed.
        """
        config = self._resolve_config(images)
        check_images(config.dataset)
        with ExitStack() as stack:
            db = Database.open(config.database)
            stack.callback(db.close)
            attempt = Attempt(PREDICTION_KIND, config, db, self._reporter, stack, self._adapter)
            return attempt.start()

    def resume(self, reference: int | str, overrides: Sequence[str] = ()) -> InferenceJobView:
        """Go on with a job that did not end; a completed one is returned as it is.

        Args:
            reference: id, name or ``latest``.
            overrides: ``key=value`` words for settings that do not make the result.

        Raises:
            InputError: RUN_NOT_FOUND, RUN_BUSY, RESUME_CHANGED with every difference.
            RunError, RunInterrupted: as ``run_inference``.
        """
        with ExitStack() as stack:
            db = Database.open(self._database, create=False)
            stack.callback(db.close)
            job = get_inference_job(db, reference)
            data = apply_overrides(dict(job.config or {}), overrides)
            config = build_as(PredictConfig, data, where=f"inference job {job.id}")
            attempt = Attempt(
                PREDICTION_KIND, _with_engine(config), db, self._reporter, stack, None
            )
            return attempt.resume(job)

    def _resolve_config(self, images: Images | None) -> PredictConfig:
        if self._config is not None:
            data = self._config.model_dump(mode="json")
        elif self._adapter is not None:
            data = {**sections_of(self._adapter), "dataset": {}}
        else:
            raise ConfigError(
                "CONFIG_MISSING", "run_inference needs a configuration, or an adapter."
            )
        if images is not None:
            data["dataset"]["path"] = path_of(images)
        if self._engine is not None:
            data["run"]["engine"] = self._engine
        if self._database is not None:
            data["database"] = self._database
        return _with_engine(with_absolute_paths(build_as(PredictConfig, data)))


def path_of(images: Images) -> str | list[str]:
    """``dataset.path`` for what somebody names; a list of one is that one."""
    named = [images] if isinstance(images, str | Path) else images
    paths = [str(image) for image in named]
    return paths[0] if len(paths) == 1 else paths


def _with_engine(config: PredictConfig) -> PredictConfig:
    """Decide on an engine: a few local images are done before Ray has started."""
    if config.run.engine != "auto":
        return config
    engine = "inline" if are_few(config.dataset) else "ray"
    return config.model_copy(update={"run": config.run.model_copy(update={"engine": engine})})
