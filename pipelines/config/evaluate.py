"""The configuration of a run: one frozen object, parsed once at the edge.

Every key is listed here, those of the metrics in ``config_metrics``, with its default and its
meaning; ``snellen schema`` prints the JSON Schema of ``RunConfig`` for editors. ``auto`` is the
default wherever a machine can know better. Unknown keys are refused: see ``config_load`` for how
files and overrides become this object.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    StrictBool,
    StrictFloat,
    StrictInt,
    StrictStr,
    ValidationInfo,
)

from snellen.adapters.types import TaskType
from snellen.pipelines.config.base import Auto, AutoInt, Fraction, MaxFailed, PositiveInt, Section
from snellen.pipelines.config.metrics import MetricsConfig
from snellen.pipelines.config.presets import EVALUATION, Preset
from snellen.pipelines.storage.address import check_no_user, check_options


def _names_to_text(value: Any) -> Any:
    """Class names such as 0, 1, 2 are numbers to YAML and names to everybody else."""
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
    """Which checkpoint is tested, and through which adapter."""

    adapter: str = Field(
        "auto",
        description="timm, ultralytics, onnx, torchscript, noop, or module:Class of an installed "
        "package; auto: what the file tells, else the job's.",
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
        description="Names in the order of the outputs: a list, a text file with a name a line, "
        "'imagenet', or 'dataset' (the checkpoint was trained on this data set's class order).",
    )
    class_map: Annotated[
        Literal["auto", "subset", "ids"] | dict[str, str | None], BeforeValidator(_names_to_text)
    ] = Field(
        "auto",
        description="How data set classes meet the checkpoint's. auto: the same names, in any "
        "order; subset: the data set may lack some; ids: labels are the checkpoint's ids; a "
        "mapping: data set class -> checkpoint class, null leaves the class out.",
    )
    min_confidence: Auto | Fraction = Field(
        "auto", description="Stored predictions reach down to this confidence (detection)."
    )
    imgsz: PositiveInt | None = Field(
        None, description="Side of the square input (ultralytics); null: as it was trained."
    )
    nms: StrictBool | None = Field(
        None,
        description="Non-maximum suppression (ultralytics). false: the head that needs none, "
        "where the model has it (YOLO26); null: as Ultralytics, true where the model has both.",
    )
    nms_iou: Fraction | None = Field(
        None, description="IoU of non-maximum suppression (ultralytics); null: 0.7."
    )
    max_detections: PositiveInt | None = Field(
        None, description="Detections an image (ultralytics); null: 300."
    )
    use_ema: Auto | StrictBool = Field(
        "auto", description="Averaged weights where the checkpoint has both; auto: yes."
    )
    match: Literal["name", "position"] = Field(
        "name", description="Match tensors by name, or by position with equal shapes."
    )
    trust: StrictBool = Field(
        False, description="Load a TorchScript file although it is code that can do anything."
    )
    options: dict[str, Any] = Field(
        default_factory=dict, description="Further keys of an adapter of your own."
    )


def _no_user(value: str, info: ValidationInfo) -> str:
    check_no_user(value, f"dataset.{info.field_name}")
    return value


def _no_secrets(value: Any) -> Any:
    # Before anything else looks at the values, so that no message repeats them.
    if isinstance(value, Mapping):
        check_options({str(name): item for name, item in value.items()})
    return value


Location = Annotated[str, AfterValidator(_no_user)]
"""A path, or an address without credentials."""
StorageOptions = Annotated[
    dict[str, StrictBool | StrictInt | StrictFloat | StrictStr], BeforeValidator(_no_secrets)
]


class DatasetConfig(Section):
    """Which images, and what is true of them."""

    format: str = Field(
        "auto",
        description="imagefolder, manifest (Parquet or CSV), image_list, coco, yolo, webdataset.",
    )
    path: Location = Field(
        description="Folder or file of the data set; also an address such as s3://bucket/folder."
    )
    annotations: Location | None = Field(None, description="COCO JSON file (format coco).")
    missing_labels: Literal["fail", "background"] = Field(
        "fail",
        description="An image without a label file (format yolo) is a failed row, or background.",
    )
    split: str | None = Field(
        "auto", description="Sub-folder of an image folder; auto: test where there is one."
    )
    root: Location | None = Field(
        None, description="Folder that relative paths of a manifest or list start from."
    )
    class_order: Literal["natural", "lexicographic"] = Field(
        "natural", description="Order of class folders: 1, 2, 10 or 1, 10, 2."
    )
    follow_links: StrictBool = Field(
        False, description="Images may be links to files outside of the data set."
    )
    limit: PositiveInt | None = Field(
        None, description="Take this many images, spread evenly over the set."
    )
    storage_options: StorageOptions = Field(
        default_factory=dict,
        description="How remote storage is reached: region, endpoint_override, anonymous ...; no "
        "credentials, which come from the environment alone.",
    )


class PreprocessConfig(Section):
    """Overrides of the framework's own evaluation transform; unset keys keep it."""

    img_size: PositiveInt | tuple[PositiveInt, PositiveInt] | None = None
    crop_pct: Annotated[float, Field(gt=0.0, le=1.0)] | None = None
    crop_mode: Literal["center", "squash", "border"] | None = None
    interpolation: Literal["nearest", "bilinear", "bicubic", "lanczos"] | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None


class RunSection(Section):
    """How the run is carried out."""

    engine: Literal["ray", "inline"] = Field("ray", description="inline: this process, no Ray.")
    batch_size: AutoInt = Field("auto", description="Images in one forward pass.")
    actors: AutoInt = Field("auto", description="Processes that hold the model.")
    threads: AutoInt = Field("auto", description="Concurrent units in one actor without a GPU.")
    precision: Literal["fp32", "fp16", "bf16"] = "fp32"
    device: Literal["auto", "cpu", "cuda"] = "auto"
    unit_rows: AutoInt = Field("auto", description="Images in a unit, the step of resume.")
    max_failed: MaxFailed | None = Field(
        None, description="Stop above this many failed images; a share if it has a point (0.01)."
    )
    seed: StrictInt = Field(0, description="Seeds whatever is drawn; recorded.")


class OutputConfig(Section):
    """Where results go."""

    dir: str = Field("auto", description="Folder for results; auto: runs/.")
    sql_rows_limit: Annotated[StrictInt, Field(ge=0)] = Field(
        50_000, description="Runs up to this many images also fill the per-image SQL tables."
    )


class RayConfig(Section):
    """Which Ray the run uses; by default one of its own, on this machine."""

    address: str | None = Field(None, description="'auto' or host:port joins a running cluster.")
    num_cpus: PositiveInt | None = Field(None, description="CPUs of an embedded Ray.")
    num_gpus: Annotated[StrictInt, Field(ge=0)] | None = Field(
        None, description="GPUs of an embedded Ray."
    )
    object_store_memory: PositiveInt | None = Field(None, description="Bytes.")
    no_progress_timeout: PositiveInt = Field(
        600, description="Seconds without any progress after which the run is interrupted."
    )


class RunConfig(Section):
    """A test run, whole."""

    preset: ClassVar[Preset] = EVALUATION

    name: str | None = Field(
        None, description="Name of the run; -2, -3 ... is added where it is taken."
    )
    task: Literal["auto"] | TaskType = "auto"
    model: ModelConfig
    dataset: DatasetConfig
    preprocess: PreprocessConfig = PreprocessConfig()
    run: RunSection = RunSection()
    metrics: MetricsConfig = MetricsConfig()
    output: OutputConfig = OutputConfig()
    database: str | None = Field(
        None, description="Run tables; default SNELLEN_DATABASE or sqlite:///runs/snellen.db."
    )
    ray: RayConfig = RayConfig()
