"""The inference runner: from a configuration to a finished inference job, and back to it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from snellen.adapters.errors import ConfigError
from snellen.pipelines.config.predict import PredictConfig
from snellen.pipelines.data.sources.unlabelled import are_few, check_images
from snellen.pipelines.models.adapter_config import sections_of
from snellen.pipelines.runs.prediction import PREDICTION_KIND
from snellen.pipelines.runs.runner import Runner
from snellen.store.views import InferenceJobView

Images = str | Path | Sequence[str | Path]
"""A folder, an image, a manifest or the like; or several images and folders, in their order."""


class InferenceRunner(Runner[PredictConfig, InferenceJobView]):
    """Runs a model on images without labels and stores an inference job."""

    kind = PREDICTION_KIND

    def run_inference(self, images: Images | None = None) -> InferenceJobView:
        """Predict every image and return the completed job.

        Args:
            images: override ``dataset.path``.

        Raises:
            ConfigError, InputError: nothing was started, nothing is left behind.
            RunError: the job was started and failed; it can be resumed.
            RunInterrupted: Ctrl-C; it can be resumed.
        """
        return self._start(self._data(images))

    def plan_inference(self, images: Images | None = None) -> dict[str, Any]:
        """What ``run_inference`` would do, which starts nothing; see
        `snellen.pipelines.runs.dry_run.preview`.
        """
        return self._preview(self._data(images))

    def _data(self, images: Images | None) -> dict[str, Any]:
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
        return data

    def _check_named(self, config: PredictConfig) -> None:
        check_images(config.dataset)

    def _decided(self, config: PredictConfig) -> PredictConfig:
        """With an engine: a few local images are done before Ray has started."""
        if config.run.engine != "auto":
            return config
        engine = "inline" if are_few(config.dataset) else "ray"
        return config.model_copy(update={"run": config.run.model_copy(update={"engine": engine})})


def path_of(images: Images) -> str | list[str]:
    """``dataset.path`` for what somebody names; a list of one is that one."""
    named = [images] if isinstance(images, str | Path) else images
    paths = [str(image) for image in named]
    return paths[0] if len(paths) == 1 else paths
