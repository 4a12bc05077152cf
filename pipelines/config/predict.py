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
from snellen.pipelines.config.loader import apply_overrides, build_as
from snellen.pipelines.config.sections import CommonConfig, OutputConfig, RunSection
from snellen.pipelines.config.yaml_file import read_yaml

Visualize = Literal["none", "failed", "all"] | PositiveInt
Images = str | Path | Sequence[str | Path]
"""A folder, an image, a manifest or the like; or several images and folders, in order."""


class PredictSection(RunSection):
    """How the job is executed."""

    # A wider choice than that of a test run; whoever runs a job decides on one of its two.
    engine: Literal["auto", "ray", "inline"] = Field(  # type: ignore[assignment]
        "auto",
        description="inline: in this process, without Ray; auto: inline for a few local images.",
    )


class PredictOutput(OutputConfig):
    """Where results are written, and which images are drawn."""

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
    run: PredictSection = PredictSection()
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
    """Put a configuration together; what comes later wins: file, settings, overrides.

    Args:
        config: a YAML file, a mapping of the same keys, or None.
        images: take the place of ``dataset.path``.
        settings: dotted key -> value; None leaves the key alone.
        overrides: ``key.sub=value`` words.

    Raises:
        ConfigError: MODEL_MISSING, nothing says which model; or what is wrong with a key.
    """
    where = str(config) if isinstance(config, str | Path) else "configuration"
    data: Any = read_yaml(config) if isinstance(config, str | Path) else dict(config or {})
    if data is not None and not isinstance(data, dict):
        return build_as(PredictConfig, data, where=where)  # which says what was expected
    data = apply_overrides(data or {}, ())
    named: dict[str, Any] = {
        **settings,
        "dataset.path": path_of(images) if images is not None else None,
    }
    for key, value in named.items():
        if value is not None:
            _put(data, key, value, where)
    data = apply_overrides(data, overrides)
    if not data.get("model"):
        raise ConfigError(
            "MODEL_MISSING",
            "a model was expected: a configuration file, a training job (--job NAME, with "
            "--checkpoint best, last or an epoch), or a file (--checkpoint FILE --adapter timm or "
            "ultralytics).",
        )
    return build_as(PredictConfig, data, where=where)


def _put(data: dict[str, Any], key: str, value: Any, where: str) -> None:
    section, _, leaf = key.rpartition(".")
    below = data.setdefault(section, {}) if section else data
    if below is None:  # a section with nothing in it, in YAML
        below = data[section] = {}
    if not isinstance(below, dict):
        raise ConfigError("CONFIG_INVALID", f"{where}: {section}: a section was expected.")
    below[leaf] = value


def path_of(images: Images) -> str | list[str]:
    """Return ``dataset.path`` for images named by a person; a list of one is that one."""
    named = [images] if isinstance(images, str | Path) else images
    paths = [str(image) for image in named]
    return paths[0] if len(paths) == 1 else paths
