"""Exported timm classifiers: timm's evaluation transform before the graph, logits behind it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from snellen.adapters.base import Preprocessor
from snellen.adapters.errors import ConfigError, InputError
from snellen.adapters.exported.description import Axes, ExportedModel
from snellen.adapters.exported.output_shapes import Shape, check_class_count, class_count
from snellen.adapters.result_builders import classification_results
from snellen.adapters.types import InferenceResult, ModelInfo, Preprocessed, TaskType
from snellen.adapters.ultralytics.nms import NmsSettings

if TYPE_CHECKING:
    import torch
    from torch import Tensor

_TASK = TaskType.IMAGE_CLASSIFICATION
_NEEDED = ("crop_pct", "crop_mode", "interpolation", "mean", "std")


class TimmFamily:
    """Classifiers of timm."""

    libraries: tuple[str, ...] = ("torch", "torchvision", "timm", "pillow", "numpy")

    def checked(self, model: ExportedModel) -> ExportedModel:
        """Return the model with a preprocessing that is complete and within bounds.

        Raises:
            ConfigError: PREPROCESS_INVALID; TASK_MISMATCH for another task than classification.
        """
        from snellen.adapters.timm.transforms import check_overrides

        if model.task != _TASK:
            raise ConfigError("TASK_MISMATCH", f"task is {model.task}. Expected {_TASK} of timm")
        preprocess = dict(model.preprocess)
        missing = [key for key in _NEEDED if key not in preprocess]
        if missing:
            raise ConfigError("PREPROCESS_INVALID", f"preprocess lacks {', '.join(missing)}")
        check_overrides({key: preprocess[key] for key in _NEEDED})
        channels = model.input_shape[0]
        for key in ("mean", "std"):
            if len(preprocess[key]) != channels:
                raise ConfigError(
                    "PREPROCESS_INVALID", f"preprocess.{key}: expected {channels} numbers"
                )
        kept: dict[str, Any] = {"input_size": list(model.input_shape)}
        kept |= {key: preprocess[key] for key in (*_NEEDED, "source") if key in preprocess}
        return model.model_copy(update={"preprocess": kept})

    def with_overrides(self, model: ExportedModel, overrides: Mapping[str, Any]) -> ExportedModel:
        """Return the model with the ``preprocess`` settings of a configuration.

        Raises:
            ConfigError: PREPROCESS_INVALID; the input size is a part of an exported model.
        """
        from snellen.adapters.timm.transforms import check_overrides

        given = check_overrides(overrides)
        size = given.pop("img_size", None)
        if size is not None:
            pair = list(size) if isinstance(size, list | tuple) else [size, size]
            if (pair[0], pair[-1]) != model.input_shape[1:]:
                raise ConfigError(
                    "PREPROCESS_INVALID",
                    f"preprocess.img_size is {size}. Expected {model.input_shape[1]} x "
                    f"{model.input_shape[2]} pixels, the size of the exported model; export it "
                    "again at the other size.",
                )
        return self.checked(model.model_copy(update={"preprocess": {**model.preprocess, **given}}))

    def from_architecture(self, architecture: str | None, axes: Axes, what: str) -> ExportedModel:
        """Describe a file without a description, from timm's settings of its architecture.

        Args:
            architecture: ``model.architecture``.
            axes: of the graph's input.
            what: the file, for messages.

        Raises:
            InputError: ARCHITECTURE_MISSING, ARCHITECTURE_UNKNOWN, CHECKPOINT_INVALID.
        """
        if architecture is None:
            raise InputError(
                "ARCHITECTURE_MISSING",
                f"{what} has no description: neither Snellen nor Ultralytics exported it. If it "
                "is a timm classifier, set model.architecture, whose preprocessing is then used.",
            )
        from snellen.adapters.timm.model import check_architecture
        from snellen.adapters.timm.transforms import DataSources, resolve_config

        check_architecture(architecture)
        from timm.models import get_pretrained_cfg

        config = get_pretrained_cfg(architecture, allow_unregistered=True)
        model = SimpleNamespace(pretrained_cfg=config.to_dict() if config is not None else {})
        size = (axes[2], axes[3]) if axes[2] and axes[3] else None
        preprocess = resolve_config(model, DataSources(size=size), axes[1] or 3)
        try:
            return self.checked(
                ExportedModel(
                    family="timm",
                    task=_TASK,
                    architecture=architecture,
                    num_classes=1,  # until its output is known
                    input_shape=tuple(preprocess["input_size"]),
                    preprocess=preprocess,
                    source_framework="timm",
                )
            )
        except (ValidationError, ConfigError) as error:
            raise InputError("CHECKPOINT_INVALID", f"{what}: {str(error)[:300]}") from error

    def check_input(self, model: ExportedModel, file: Path) -> None:
        """Accept any input: timm's models take one or three channels and any size."""

    def check_outputs(
        self, shapes: Sequence[Shape], model: ExportedModel, file: Path
    ) -> ExportedModel:
        """Check the outputs; the number of classes of a file without description is theirs.

        Raises:
            InputError: CHECKPOINT_INVALID, with the expected and the found shapes.
        """
        if model.source_sha256 is None:
            return model.model_copy(update={"num_classes": class_count(shapes, file)})
        check_class_count(shapes, model.num_classes, file)
        return model

    def preprocessor(self, info: ModelInfo) -> Preprocessor:
        """Return timm's evaluation transform without normalisation."""
        from snellen.adapters.timm.transforms import TimmPreprocessor

        return TimmPreprocessor(info.preprocess)

    def reader(
        self, model: ExportedModel, labels: tuple[str, ...], nms: NmsSettings, device: torch.device
    ) -> TimmReader:
        """Return the reader of the graph's outputs; classes need no suppression."""
        return TimmReader(model, labels, device)

    def output_count(self, model: ExportedModel) -> int:
        """Return 1: the logits."""
        return 1

    def properties(self, model: ExportedModel) -> dict[str, Any]:
        """Return no properties: no other tool reads a file of a timm classifier."""
        return {}


class TimmReader:
    """Normalises the input of the graph and reads its outputs."""

    def __init__(self, model: ExportedModel, labels: tuple[str, ...], device: torch.device) -> None:
        import torch

        shape = (1, -1, 1, 1)
        self._mean = torch.tensor(model.preprocess["mean"]).view(shape).to(device)
        self._std = torch.tensor(model.preprocess["std"]).view(shape).to(device)
        self._labels = labels

    def normalised(self, pixels: Tensor) -> Tensor:
        """Normalise float32 (N, C, H, W) in 0..1, in place."""
        return pixels.sub_(self._mean).div_(self._std)

    def results(
        self,
        outputs: Sequence[Tensor],
        items: Sequence[Preprocessed],
        targets: Sequence[int | None] | None,
    ) -> list[InferenceResult]:
        """Convert the logits of N images to N results."""
        return classification_results(outputs[0], items, targets, self._labels)
