"""The families of exported models, and the descriptions that their files carry."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from pydantic import ValidationError

from snellen.adapters.base import Preprocessor
from snellen.adapters.errors import ConfigError, InputError
from snellen.adapters.exported.description import KEY, ExportedModel, FamilyName
from snellen.adapters.exported.output_shapes import Shape
from snellen.adapters.exported.timm_family import TimmFamily
from snellen.adapters.exported.yolo_family import YoloFamily
from snellen.adapters.types import InferenceResult, ModelInfo, Preprocessed
from snellen.adapters.ultralytics.nms import NmsSettings

if TYPE_CHECKING:
    import torch
    from torch import Tensor


class OutputReader(Protocol):
    """Normalises the input of one model's graph and reads its outputs; threads may share it."""

    def normalised(self, pixels: Tensor) -> Tensor:
        """Normalise float32 (N, C, H, W) in 0..1; may change it in place."""
        ...

    def results(
        self,
        outputs: Sequence[Tensor],
        items: Sequence[Preprocessed],
        targets: Sequence[int | None] | None,
    ) -> list[InferenceResult]:
        """Convert the outputs for N images to N results, in order, with empty path and name."""
        ...


class Family(Protocol):
    """Everything about an exported model that depends on the framework it came from."""

    libraries: tuple[str, ...]
    """Libraries whose versions change a result."""

    def checked(self, model: ExportedModel) -> ExportedModel:
        """Return the model with a preprocessing that is complete and within bounds.

        Raises:
            ValidationError, ConfigError: it is neither.
        """
        ...

    def with_overrides(self, model: ExportedModel, overrides: Mapping[str, Any]) -> ExportedModel:
        """Apply the ``preprocess`` settings of a configuration, of which there are some.

        Raises:
            ConfigError: PREPROCESS_INVALID.
        """
        ...

    def check_input(self, model: ExportedModel, file: Path) -> None:
        """Check the shape of the input. Raises InputError (CHECKPOINT_INVALID)."""
        ...

    def check_outputs(
        self, shapes: Sequence[Shape], model: ExportedModel, file: Path
    ) -> ExportedModel:
        """Check the shapes of the outputs for one image. Raises InputError (CHECKPOINT_INVALID)."""
        ...

    def preprocessor(self, info: ModelInfo) -> Preprocessor:
        """Return the preprocessor of a model."""
        ...

    def reader(
        self, model: ExportedModel, labels: tuple[str, ...], nms: NmsSettings, device: torch.device
    ) -> OutputReader:
        """Return the reader of a model's outputs."""
        ...

    def output_count(self, model: ExportedModel) -> int:
        """Return the number of tensors that the graph returns."""
        ...

    def properties(self, model: ExportedModel) -> dict[str, Any]:
        """Return the properties by which the framework's own tools read the file, if they can."""
        ...


TIMM, YOLO = TimmFamily(), YoloFamily()
FAMILIES: Mapping[FamilyName, Family] = {"timm": TIMM, "yolo": YOLO}


def family_of(preprocess: Mapping[str, Any]) -> Family:
    """Return the family that a resolved preprocessing belongs to."""
    return YOLO if "imgsz" in preprocess else TIMM


def describe(info: ModelInfo, family: FamilyName) -> ExportedModel:
    """Return the description of a file that is made from a loaded checkpoint."""
    return FAMILIES[family].checked(
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
    """Parse the JSON value that a file carries.

    Args:
        text: of the value.
        what: the file, for messages.

    Raises:
        InputError: CHECKPOINT_INVALID, with the first error.
    """
    try:
        model = ExportedModel.model_validate_json(text)
        return FAMILIES[model.family].checked(model)
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


def _first(error: ValidationError) -> str:
    problem = error.errors()[0]
    where = ".".join(str(part) for part in problem["loc"])
    return f"{where}: {problem['msg']}" if where else str(problem["msg"])
