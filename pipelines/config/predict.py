"""The configuration of an inference job: which model looks at which images without labels.

It is parsed as a test run's is (see ``config`` and ``config_load``), and shares its sections
``model``, ``preprocess``, ``run``, ``database`` and ``ray``. ``snellen schema predict`` prints it.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field, StrictBool

from snellen.adapters.types import TaskType
from snellen.pipelines.config.base import PositiveInt, Section
from snellen.pipelines.config.evaluate import (
    Location,
    ModelConfig,
    OutputConfig,
    PreprocessConfig,
    RayConfig,
    RunConfig,
    RunSection,
    StorageOptions,
)
from snellen.pipelines.config.presets import PREDICTION, Preset

Visualize = Literal["none", "failed", "all"] | PositiveInt


class ImagesConfig(Section):
    """Which images are looked at. Labels that a manifest or shards may have are not read."""

    format: str = Field(
        "auto", description="images, manifest (Parquet or CSV), image_list or webdataset."
    )
    path: Location | tuple[Location, ...] = Field(
        (),
        description="A folder of images at any depth, an image, a list of images, a manifest, a "
        ".txt list, or .tar shards; also addresses such as s3://bucket/folder.",
    )
    root: Location | None = Field(
        None, description="Folder that relative paths of a manifest or list start from."
    )
    follow_links: StrictBool = Field(
        False, description="Images may be links to files outside of the folder."
    )
    limit: PositiveInt | None = Field(
        None, description="Take this many images, spread evenly over the set."
    )
    storage_options: StorageOptions = Field(
        default_factory=dict,
        description="How remote storage is reached: region, endpoint_override, anonymous ...; no "
        "credentials, which come from the environment alone.",
    )


class PredictSection(RunSection):
    """How the job is carried out."""

    # A wider choice than that of a test run; whoever runs a job decides on one of its two.
    engine: Literal["auto", "ray", "inline"] = Field(  # type: ignore[assignment]
        "auto", description="inline: this process, no Ray; auto: inline for a few local images."
    )


class PredictOutput(OutputConfig):
    """Where results go, and which pictures are made of them."""

    visualize: Visualize = Field(
        "none",
        description="Annotated copies of images: none, failed, all, or so many spread evenly.",
    )
    masks: Literal["none", "png"] = Field(
        "none", description="png: also an image of instance numbers for each segmented image."
    )


class PredictConfig(Section):
    """An inference job, whole."""

    preset: ClassVar[Preset] = PREDICTION

    name: str | None = Field(
        None, description="Name of the job; -2, -3 ... is added where it is taken."
    )
    task: Literal["auto"] | TaskType = "auto"
    model: ModelConfig
    dataset: ImagesConfig = ImagesConfig()
    preprocess: PreprocessConfig = PreprocessConfig()
    run: PredictSection = PredictSection()
    output: PredictOutput = PredictOutput()
    database: str | None = Field(
        None, description="Run tables; default SNELLEN_DATABASE or sqlite:///runs/snellen.db."
    )
    ray: RayConfig = RayConfig()


AnyConfig = RunConfig | PredictConfig
"""What a model is found and loaded for."""
