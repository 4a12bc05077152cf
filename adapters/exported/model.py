"""What an exported file says of itself: one JSON value that travels in the file.

An exported graph has tensors and no meaning. Which classes, which preprocessing and what the
numbers are stands in this value, under `KEY`. It is written by ``export`` and read by the
adapters of exported models, as carefully as the rest of the file: it may be anybody's.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictInt, StringConstraints, ValidationError

from snellen.adapters.errors import ConfigError, InputError
from snellen.adapters.types import ModelInfo, TaskType

KEY = "snellen"
MAX_SIDE = 8192
"""Pixels; no model takes a larger input."""
_MAX_CLASSES = 1_000_000

Side = Annotated[StrictInt, Field(ge=1, le=MAX_SIDE)]
Text = Annotated[str, StringConstraints(max_length=1000)]
Names = Annotated[tuple[Text, ...], Field(max_length=_MAX_CLASSES)]


class ExportedModel(BaseModel):
    """An exported model, as far as its graph does not tell.

    Attributes:
        format: version of this description.
        family: whose preprocessing and outputs these are; ``timm`` classifiers give logits.
        task: what it answers.
        architecture: model name.
        num_classes: K.
        class_names, class_names_source: as in `snellen.adapters.types.ModelInfo`.
        input_shape: channels, height and width.
        preprocess: timm's data config; or of YOLO imgsz, stride, end2end and kpt_shape.
        probabilities: a classifier's outputs are softmax probabilities (as Ultralytics exports
            them), not logits.
        source_framework, source_sha256: the checkpoint that it was made of, if known.
        weights, epoch, flops_per_image: of that checkpoint.
        versions: of the libraries that made it.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", protected_namespaces=())

    format: Literal[1] = 1
    family: Literal["timm", "yolo"]
    task: TaskType
    architecture: Text
    num_classes: Annotated[StrictInt, Field(ge=1, le=_MAX_CLASSES)]
    class_names: Names | None = None
    class_names_source: Text | None = None
    input_shape: tuple[Annotated[StrictInt, Field(ge=1, le=3)], Side, Side]
    preprocess: dict[str, Any]
    probabilities: bool = False
    source_framework: Text | None = None
    source_sha256: Text | None = None
    weights: Text | None = None
    epoch: StrictInt | None = None
    flops_per_image: float | None = None
    versions: dict[Text, Text] = Field(default_factory=dict)

    @property
    def end2end(self) -> bool:
        """A YOLO model whose outputs need no non-maximum suppression."""
        return bool(self.preprocess.get("end2end", False))

    @property
    def kpt_shape(self) -> tuple[int, int] | None:
        """Keypoints, and numbers each, of a YOLO pose model."""
        shape = self.preprocess.get("kpt_shape")
        return (int(shape[0]), int(shape[1])) if shape else None


class _YoloPreprocess(BaseModel):
    """The ``preprocess`` of a YOLO model."""

    model_config = ConfigDict(extra="ignore")

    imgsz: Side | tuple[Side, Side]
    stride: Annotated[StrictInt, Field(ge=1, le=1024)] = 32
    end2end: bool = False
    kpt_shape: (
        tuple[Annotated[StrictInt, Field(ge=1, le=10_000)], Annotated[StrictInt, Field(ge=2, le=3)]]
        | None
    ) = None


def describe(info: ModelInfo, family: Literal["timm", "yolo"]) -> ExportedModel:
    """What a file that is made of a loaded checkpoint has to say."""
    return checked(
        ExportedModel(
            family=family,
            task=info.task_type,
            architecture=info.architecture,
            num_classes=info.num_classes,
            class_names=info.class_names,
            class_names_source=info.class_names_source,
            input_shape=(info.input_shape[0], info.input_shape[1], info.input_shape[2]),
            preprocess=info.preprocess,
            source_framework=info.framework,
            source_sha256=info.checkpoint_sha256 or None,
            weights=info.weights,
            epoch=info.epoch,
            flops_per_image=info.flops_per_image,
            versions=info.versions,
        )
    )


def parse_description(text: str, what: str) -> ExportedModel:
    """Read the JSON value.

    Args:
        text: as it stands in the file.
        what: the file, for messages.

    Raises:
        InputError: CHECKPOINT_INVALID, with the first thing that is wrong.
    """
    try:
        model = ExportedModel.model_validate_json(text)
        return checked(model)
    except ValidationError as error:
        raise InputError(
            "CHECKPOINT_INVALID",
            f"{what}: its description ({KEY}) is not one that this version can read: "
            f"{_first(error)}. Export it again.",
        ) from error
    except ConfigError as error:
        raise InputError(
            "CHECKPOINT_INVALID", f"{what}: its description ({KEY}): {error.message}"
        ) from error


def checked(model: ExportedModel) -> ExportedModel:
    """The model with a preprocessing that is complete and within bounds.

    Raises:
        ValidationError, ConfigError: it is neither.
    """
    if model.family == "yolo":
        found = _YoloPreprocess.model_validate(model.preprocess)
        return model.model_copy(update={"preprocess": found.model_dump()})
    from snellen.adapters.timm.transforms import check_overrides

    preprocess = dict(model.preprocess)
    preprocess["input_size"] = list(model.input_shape)
    needed = ("crop_pct", "crop_mode", "interpolation", "mean", "std")
    missing = [key for key in needed if key not in preprocess]
    if missing:
        raise ConfigError("PREPROCESS_INVALID", f"preprocess lacks {', '.join(missing)}")
    check_overrides({key: preprocess[key] for key in needed})
    channels = model.input_shape[0]
    for key in ("mean", "std"):
        if len(preprocess[key]) != channels:
            raise ConfigError(
                "PREPROCESS_INVALID", f"preprocess.{key}: expected {channels} numbers"
            )
    kept = {key: preprocess[key] for key in ("input_size", *needed)}
    return model.model_copy(update={"preprocess": kept})


def with_overrides(model: ExportedModel, overrides: dict[str, Any]) -> ExportedModel:
    """The model with the ``preprocess`` settings of a configuration.

    Raises:
        ConfigError: PREPROCESS_INVALID; the size of the input is a part of an exported model.
    """
    if not overrides:
        return model
    if model.family == "yolo":
        raise ConfigError(
            "PREPROCESS_INVALID", "preprocess: an exported YOLO model letterboxes as it was made."
        )
    from snellen.adapters.timm.transforms import check_overrides

    given = check_overrides(overrides)
    size = given.pop("img_size", None)
    if size is not None:
        pair = list(size) if isinstance(size, list | tuple) else [size, size]
        if (pair[0], pair[-1]) != model.input_shape[1:]:
            raise ConfigError(
                "PREPROCESS_INVALID",
                f"preprocess.img_size: {size} was asked for, and the exported model takes "
                f"{model.input_shape[1]} x {model.input_shape[2]} pixels; export it at that size.",
            )
    return checked(model.model_copy(update={"preprocess": {**model.preprocess, **given}}))


def _first(error: ValidationError) -> str:
    problem = error.errors()[0]
    where = ".".join(str(part) for part in problem["loc"])
    return f"{where}: {problem['msg']}" if where else str(problem["msg"])
