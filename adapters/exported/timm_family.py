"""Exported classifiers: timm's evaluation transform before the graph, class scores behind it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from snellen.adapters.base import Preprocessor
from snellen.adapters.checkpoints.integrity import invalid
from snellen.adapters.errors import ConfigError, InputError
from snellen.adapters.exported.class_outputs import as_logits
from snellen.adapters.exported.description import Axes, ExportedModel
from snellen.adapters.exported.output_shapes import Shape, check_class_count, class_count, misfit
from snellen.adapters.result_builders import classification_results
from snellen.adapters.types import InferenceResult, ModelInfo, Preprocessed, TaskType
from snellen.adapters.ultralytics.nms import ImageSize, NmsSettings

if TYPE_CHECKING:
    import torch
    from torch import Tensor

_TASK = TaskType.IMAGE_CLASSIFICATION
_NEEDED = ("crop_pct", "crop_mode", "interpolation", "mean", "std")
_NORMALISING = ("mean", "std")


@dataclass(frozen=True, slots=True)
class UndescribedFile:
    """A classifier that neither Snellen nor Ultralytics exported, and the settings for it.

    Attributes:
        file: path of the file.
        axes: of the graph's input.
        architecture: model name of timm, or None.
        preprocess: the ``preprocess`` settings.
        imgsz: ``model.imgsz``, the size where the graph leaves it open.
        raw: the graph takes uint8 pixels, and normalises them.
    """

    file: Path
    axes: Axes
    architecture: str | None
    preprocess: Mapping[str, Any]
    imgsz: ImageSize | None = None
    raw: bool = False

    @property
    def size(self) -> tuple[int, int] | None:
        """Height and width of the graph, else of the settings; None if neither states them.

        Raises:
            ConfigError: OPTION_INVALID, two settings state different sizes.
        """
        from snellen.adapters.timm.model import pair

        sizes = [pair(s) for s in (self.preprocess.get("img_size"), self.imgsz) if s is not None]
        if len(set(sizes)) > 1:
            raise ConfigError(
                "OPTION_INVALID",
                f"preprocess.img_size is {sizes[0]}, and model.imgsz is {sizes[1]}. Expected one "
                "size. Remove model.imgsz.",
            )
        stated = sizes[0] if sizes else (None, None)
        height, width = self.axes[2] or stated[0], self.axes[3] or stated[1]
        return (height, width) if height and width else None


class TimmFamily:
    """Classifiers of timm, and others that are prepared by timm's transform."""

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
        kept |= {key: preprocess[key] for key in (*_NEEDED, "source", "input") if key in preprocess}
        return model.model_copy(update={"preprocess": kept})

    def with_overrides(self, model: ExportedModel, overrides: Mapping[str, Any]) -> ExportedModel:
        """Return the model with the ``preprocess`` settings of a configuration.

        Raises:
            ConfigError: PREPROCESS_INVALID; the input size is a part of an exported model.
        """
        from snellen.adapters.timm.transforms import check_overrides, sourced

        given = check_overrides(overrides)
        if model.preprocess.get("input") == "uint8" and set(given) & set(_NORMALISING):
            raise ConfigError(
                "PREPROCESS_INVALID",
                "preprocess.mean and preprocess.std are set. Expected neither: the exported model "
                "takes uint8 pixels, and normalises them itself. Remove them.",
            )
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
        source = sourced(str(model.preprocess.get("source", "the exported file")), overrides)
        changed = {**model.preprocess, **given, "source": source}
        return self.checked(model.model_copy(update={"preprocess": changed}))

    def from_settings(self, found: UndescribedFile) -> ExportedModel:
        """Describe a file without a description, by its architecture or the settings alone.

        Raises:
            ConfigError: OPTION_INVALID, or PREPROCESS_INVALID.
            InputError: ARCHITECTURE_MISSING, ARCHITECTURE_UNKNOWN, CHECKPOINT_INVALID.
        """
        channels = found.axes[1] or 3
        if found.architecture is not None:
            preprocess = _of_architecture(found, found.architecture, channels)
        else:
            preprocess = _of_settings(found, channels)
        if found.raw:
            preprocess |= {"mean": [0.0] * channels, "std": [1.0] * channels, "input": "uint8"}
        try:
            return self.checked(
                ExportedModel(
                    family="timm",
                    task=_TASK,
                    architecture=found.architecture or found.file.stem,
                    num_classes=1,  # until its output is known
                    input_shape=tuple(preprocess["input_size"]),
                    preprocess=preprocess,
                    source_framework="timm" if found.architecture is not None else None,
                )
            )
        except (ValidationError, ConfigError) as error:
            raise invalid(found.file, str(error)[:300]) from error

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
            count = class_count(shapes, file)
            if count < 2:
                raise misfit(file, shapes, "the scores of two classes or more")
            return model.model_copy(update={"num_classes": count})
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
        """Return 1: the scores of the classes."""
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
        self._labels, self._output = labels, model.output

    def normalised(self, pixels: Tensor) -> Tensor:
        """Normalise float32 (N, C, H, W) in 0..1, in place."""
        return pixels.sub_(self._mean).div_(self._std)

    def results(
        self,
        outputs: Sequence[Tensor],
        items: Sequence[Preprocessed],
        targets: Sequence[int | None] | None,
    ) -> list[InferenceResult]:
        """Convert the class scores of N images to N results."""
        logits = as_logits(self._output, outputs[0])
        return classification_results(logits, items, targets, self._labels)


def _of_architecture(found: UndescribedFile, architecture: str, channels: int) -> dict[str, Any]:
    """Return timm's preprocessing for an architecture at the size of the graph.

    Its config for tests is taken, as for a checkpoint, unless the graph has the size of the
    training, whose crop belongs to it.
    """
    from snellen.adapters.timm.model import Blueprint, check_architecture
    from snellen.adapters.timm.transforms import DataSources, resolve_config

    config = Blueprint.of(check_architecture(architecture)).config
    trained, tested = (
        tuple(config.get(key) or ())[-2:] for key in ("input_size", "test_input_size")
    )
    size = found.size
    of_training = bool(tested) and size == trained != tested
    sources = DataSources(size=size, testing=not of_training)
    resolved = resolve_config(SimpleNamespace(pretrained_cfg=config), sources, channels)
    if found.axes[2] and found.axes[3]:
        resolved["source"] += "; the exported file: img_size"
    return resolved


def _of_settings(found: UndescribedFile, channels: int) -> dict[str, Any]:
    """Return the preprocessing that the settings state completely.

    Raises:
        InputError: ARCHITECTURE_MISSING, they do not.
    """
    given = dict(found.preprocess)
    needed = [
        key for key in _NEEDED if key != "crop_mode" and not (found.raw and key in _NORMALISING)
    ]
    missing = [
        *(["img_size"] if found.size is None else []),
        *(k for k in needed if k not in given),
    ]
    if missing or found.size is None:
        listed = ", ".join(f"preprocess.{key}" for key in missing)
        raise InputError(
            "ARCHITECTURE_MISSING",
            f"checkpoint '{found.file}' has no description: neither Snellen nor Ultralytics "
            "exported it. Expected a classifier and its preprocessing. If it is a timm model, set "
            f"model.architecture, whose preprocessing is then used; else set {listed}.",
        )
    kept = {key: given[key] for key in _NEEDED if key in given}
    size = [channels, *found.size]
    return {"input_size": size, "crop_mode": "center", **kept, "source": "settings"}
