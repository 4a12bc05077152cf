"""Sections that test runs and inference jobs share: model, preprocessing, execution, output."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field, StrictBool, StrictInt

from snellen.adapters.types import TaskType
from snellen.pipelines.config.base import (
    Auto,
    AutoInt,
    Fraction,
    MaxFailed,
    PositiveInt,
    Preset,
    Section,
)
from snellen.pipelines.config.ray_section import RayConfig


def _names_to_text(value: Any) -> Any:
    """Convert class names that YAML reads as numbers (0, 1, 2) to text."""
    if isinstance(value, list | tuple):
        return tuple(str(v) if isinstance(v, int) and not isinstance(v, bool) else v for v in value)
    if isinstance(value, dict):
        return {
            str(k) if isinstance(k, int) else k: (
                str(v) if isinstance(v, int) and not isinstance(v, bool) else v
            )
            for k, v in value.items()
        }
    return value


class ModelConfig(Section):
    """The checkpoint and the adapter that loads it."""

    adapter: str = Field(
        "auto",
        description="timm, ultralytics, onnx, torchscript, noop, or module:Class of an installed "
        "package; auto: from the file, else from the job.",
    )
    checkpoint: str | StrictInt | None = Field(
        None, description="A file; or, with `job`, best, last or an epoch number."
    )
    job: str | StrictInt | None = Field(
        None, description="A registered training job, by id or name, or its run directory."
    )
    architecture: str | None = Field(
        None, description="Model name; needed where the checkpoint does not hold it."
    )
    class_names: Annotated[
        Literal["auto", "imagenet", "dataset"] | tuple[str, ...] | str,
        BeforeValidator(_names_to_text),
    ] = Field(
        "auto",
        description="Class names in output order: a list, a text file with one name per line, "
        "'imagenet', or 'dataset' (the checkpoint was trained with this dataset's class order).",
    )
    class_map: Annotated[
        Literal["auto", "subset", "ids"] | dict[str, str | None], BeforeValidator(_names_to_text)
    ] = Field(
        "auto",
        description="How dataset classes are mapped to the checkpoint's. auto: the same names, in "
        "any order; subset: the dataset may lack some; ids: labels are the checkpoint's ids; a "
        "mapping: class of the dataset or of the checkpoint -> class that it counts as, null "
        "excludes a class of the dataset.",
    )
    restrict_logits: StrictBool = Field(
        False,
        description="Choose only between the classes that the dataset has, or metrics.classes "
        "where they are set: probabilities, top 5 and loss are theirs (classification).",
    )
    min_confidence: Auto | Fraction = Field(
        "auto", description="Minimum confidence of stored predictions (detection)."
    )
    imgsz: PositiveInt | tuple[PositiveInt, PositiveInt] | None = Field(
        None,
        description="Side of the square input in pixels, or [height, width] (ultralytics); null: "
        "as trained.",
    )
    nms: StrictBool | None = Field(
        None,
        description="Non-maximum suppression (ultralytics). false: use the end-to-end head "
        "where the model has one (YOLO26); null: as Ultralytics, true where the model has both.",
    )
    nms_iou: Fraction | None = Field(
        None, description="IoU of non-maximum suppression (ultralytics); null: 0.7."
    )
    agnostic_nms: StrictBool = Field(
        False,
        description="Boxes of different classes suppress each other, too (ultralytics).",
    )
    max_detections: PositiveInt | None = Field(
        None, description="Maximum number of detections per image (ultralytics); null: 300."
    )
    use_ema: Auto | StrictBool = Field(
        "auto", description="Use averaged (EMA) weights where the checkpoint has both; auto: true."
    )
    match: Literal["name", "position"] = Field(
        "name", description="Match tensors by name, or by position with equal shapes."
    )
    trust: StrictBool = Field(
        False, description="Load a TorchScript file, which is executable code."
    )
    options: dict[str, Any] = Field(default_factory=dict, description="Options of the adapter.")


class PreprocessConfig(Section):
    """Overrides of the framework's evaluation transform; unset keys keep its values."""

    img_size: PositiveInt | tuple[PositiveInt, PositiveInt] | None = Field(
        None, description="Side of the square input in pixels, or [height, width]."
    )
    crop_pct: Annotated[float, Field(gt=0.0, le=1.0)] | None = Field(
        None, description="Side of the centre crop as a fraction of the resized image."
    )
    crop_mode: Literal["center", "squash", "border"] | None = Field(
        None, description="Crop mode of timm."
    )
    interpolation: Literal["nearest", "bilinear", "bicubic", "lanczos"] | None = Field(
        None, description="Interpolation of the resize."
    )
    mean: tuple[float, ...] | None = Field(
        None, description="Mean per channel, of values in 0..1, for the normalisation."
    )
    std: tuple[float, ...] | None = Field(
        None, description="Standard deviation per channel, for the normalisation."
    )


class ImageLimits(Section):
    """Limits of the images that are read; larger ones become failed rows."""

    max_bytes: PositiveInt = Field(
        20 * 2**20, description="Maximum size of an image file in bytes (BYTE_LIMIT)."
    )
    max_pixels: PositiveInt = Field(
        64_000_000, description="Maximum width x height of an image in pixels (PIXEL_LIMIT)."
    )


class RunSection(Section):
    """Execution of the run."""

    engine: Literal["auto", "ray", "inline"] = Field(
        "auto",
        description="inline: in this process, without Ray; auto: inline for a short run without a "
        "GPU and without ray.address, else ray.",
    )
    batch_size: AutoInt = Field("auto", description="Images per forward pass.")
    actors: AutoInt = Field("auto", description="Number of processes that hold the model.")
    threads: AutoInt = Field("auto", description="Concurrent units per actor without a GPU.")
    precision: Literal["fp32", "fp16", "bf16"] = Field(
        "fp32", description="Precision of the forward pass."
    )
    device: Literal["auto", "cpu", "cuda"] = Field(
        "auto", description="auto: cuda if a GPU is free, else cpu."
    )
    unit_rows: AutoInt = Field("auto", description="Images per unit, the step of resume.")
    max_failed: MaxFailed | None = Field(
        None,
        description="Maximum number of failed images before the run stops, or a fraction such as "
        "0.01.",
    )
    seed: Annotated[StrictInt, Field(ge=0)] = Field(
        0, description="Random seed of the bootstrap, which gives the intervals of the APs."
    )


class OutputConfig(Section):
    """Output of the run."""

    dir: str = Field("auto", description="Results folder; auto: runs/.")
    sql_rows_limit: Annotated[StrictInt, Field(ge=0)] = Field(
        50_000, description="Runs with more images do not fill the per-image SQL tables."
    )


class CommonConfig(Section):
    """The keys that every configuration has."""

    preset: ClassVar[Preset]

    name: str | None = Field(
        None, description="Name of the run; -2, -3 ... is appended if the name is taken."
    )
    task: Literal["auto"] | TaskType = Field(
        "auto", description="Task of the model; auto: as in the checkpoint."
    )
    model: ModelConfig
    dataset: Section
    images: ImageLimits = ImageLimits()
    preprocess: PreprocessConfig = PreprocessConfig()
    run: RunSection = RunSection()
    output: OutputConfig = OutputConfig()
    database: str | None = Field(
        None,
        description="URL of the run tables; null: SNELLEN_DATABASE or sqlite:///runs/snellen.db.",
    )
    ray: RayConfig = RayConfig()
