"""The configuration of an inference job; ``snellen schema predict`` prints its JSON Schema."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field

from snellen.adapters.errors import ConfigError
from snellen.pipelines.config.base import PREDICTION, PositiveInt, Preset
from snellen.pipelines.config.dataset import ImagesConfig
from snellen.pipelines.config.evaluate import EvaluateConfig
from snellen.pipelines.config.loader import build_as, merged
from snellen.pipelines.config.sections import CommonConfig, OutputConfig

Visualize = Literal["none", "failed", "all"] | PositiveInt
Images = str | Path | Sequence[str | Path]
"""A folder, an image, a manifest and so on; or several images and folders, in order."""


class PredictOutput(OutputConfig):
    """The output folder, and the images that are drawn."""

    visualize: Visualize = Field(
        "none",
        description="Annotated copies of images: none, failed, all, or a number, spread evenly.",
    )
    masks: Literal["none", "png"] = Field(
        "none", description="png: also write an instance-id image for each segmented image."
    )


class PredictConfig(CommonConfig):
    """The configuration of an inference job."""

    preset: ClassVar[Preset] = PREDICTION

    dataset: ImagesConfig = ImagesConfig()
    output: PredictOutput = PredictOutput()


AnyConfig = EvaluateConfig | PredictConfig
"""The configuration of a test run or of an inference job."""


def predict_config_of(
    config: str | Path | Mapping[str, Any] | None,
    images: Images | None = None,
    *,
    settings: Mapping[str, Any],
    overrides: Sequence[str] = (),
) -> PredictConfig:
    """Merge a file, settings and overrides into a configuration; later ones win.

    Args:
        config: a YAML file, a mapping of the same keys, or None.
        images: override ``dataset.path``.
        settings: dotted key -> value; None is ignored.
        overrides: ``key.sub=value`` words.

    Raises:
        ConfigError: MODEL_MISSING, no model is named; or an invalid key.
    """
    path = path_of(images) if images is not None else None
    data, where = merged(config, {**settings, "dataset.path": path}, overrides)
    if not data.get("model"):
        raise ConfigError(
            "MODEL_MISSING",
            "no model is named. Expected a configuration file, a training job (--job NAME, with "
            "--checkpoint best, last or an epoch) or a checkpoint file (--checkpoint FILE "
            "--adapter timm or ultralytics).",
        )
    return build_as(PredictConfig, data, where=where)


def path_of(images: Images) -> str | list[str]:
    """Return ``dataset.path`` for named images; a list of one is that path."""
    named = [images] if isinstance(images, str | Path) else images
    paths = [str(image) for image in named]
    return paths[0] if len(paths) == 1 else paths
