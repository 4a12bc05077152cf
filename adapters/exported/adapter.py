"""The common part of the adapters of exported models: everything but opening and running a file."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from snellen.adapters.adapter_options import parse_options
from snellen.adapters.base import Adapter, Preprocessor
from snellen.adapters.checkpoints.integrity import invalid
from snellen.adapters.checkpoints.local_path import check_local_path
from snellen.adapters.errors import ConfigError, InputError
from snellen.adapters.exported.description import KEY, MAX_SIDE, Axes, ExportedModel
from snellen.adapters.exported.family import FAMILIES, TIMM, YOLO, family_of, parse_description
from snellen.adapters.types import AdapterSpec, InferenceResult, ModelInfo, Preprocessed, TaskType
from snellen.adapters.ultralytics.nms import (
    YoloOptions,
    height_and_width,
    max_detections,
    nms_settings,
)

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, slots=True)
class Opened:
    """A file that can be run.

    Attributes:
        run: float32 (N, C, H, W) on the engine's device -> outputs, float32, there as well.
        axes: of the input: batch, channels, height, width; None where the graph leaves it open.
        metadata: texts that travel in the file.
        sha256: of the file.
        parameters: number of weights.
    """

    run: Callable[[Tensor], list[Tensor]]
    axes: Axes
    metadata: Mapping[str, Any]
    sha256: str
    parameters: int


class ExportedAdapter(Adapter):
    """A model in a file that another program runs."""

    tasks: ClassVar[frozenset[TaskType]] = frozenset(TaskType)
    options: ClassVar[type[YoloOptions]] = YoloOptions
    needs_checkpoint: ClassVar[bool] = True
    takes_architecture: ClassVar[bool] = True
    libraries: ClassVar[tuple[str, ...]] = ()

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Return True for files with the suffix of the format."""
        return path.suffix.lower() == cls.export_suffix

    @classmethod
    def preprocessor(cls, spec: AdapterSpec, info: ModelInfo) -> Preprocessor:
        """Return timm's evaluation transform, or YOLO's letterbox or crop."""
        return family_of(info.preprocess).preprocessor(info)

    @abstractmethod
    def _open(self, file: Path) -> Opened:
        """Check the file and open it.

        Raises:
            ConfigError, InputError: a file that cannot be used.
        """

    def _load(self, inference_mode: bool) -> tuple[ModelInfo, dict[str, Any]]:
        self._options = parse_options(self.options, self.spec.options, self.framework)
        self._check_use(inference_mode)
        assert self.spec.checkpoint is not None
        file = check_local_path(self.spec.checkpoint)
        opened = self._open(file)
        model = self._describe(opened, file)
        self._run, self._batch = opened.run, opened.axes[0]
        self._model = self._probed(model, file)
        self._check_nms()
        self._place()
        return self._info_of(opened, file), {}

    def _check_use(self, inference_mode: bool) -> None:
        if self.spec.checkpoint is None:
            raise InputError(
                "CHECKPOINT_MISSING",
                f"the adapter {self.framework} has no checkpoint. Expected the path of a file.",
            )
        if not inference_mode:
            raise InputError(
                "MODEL_NOT_TRAINABLE",
                f"'{self.spec.checkpoint}' is an exported model, which cannot be trained. Load "
                "the checkpoint that it was made from.",
            )
        if self.spec.precision != "fp32":
            raise ConfigError(
                "PRECISION_UNKNOWN",
                f"run.precision is {self.spec.precision}. Expected fp32: an exported model "
                "computes in the precision that it was exported with.",
            )

    def _describe(self, opened: Opened, file: Path) -> ExportedModel:
        """Describe the file by its own description, by Ultralytics' properties, or as timm's."""
        text = opened.metadata.get(KEY)
        imgsz = self._options.imgsz
        what = f"checkpoint '{file}'"
        if text is not None:
            model = parse_description(str(text), what)
        elif "task" in opened.metadata and "names" in opened.metadata:
            model = YOLO.from_properties(opened.metadata, opened.axes, file.stem, imgsz)
        else:
            model = TIMM.from_architecture(self.spec.architecture, opened.axes, what)
        family = FAMILIES[model.family]
        _check_axes(model, opened.axes, file)
        family.check_input(model, file)
        if imgsz is not None and model.input_shape[1:] != height_and_width(imgsz):
            raise ConfigError(
                "OPTION_INVALID",
                f"model.imgsz is {imgsz}. Expected {model.input_shape[1]} x "
                f"{model.input_shape[2]} pixels, the size of '{file.name}'; export it again at "
                "the other size.",
            )
        if not self.spec.preprocess:
            return model
        return family.with_overrides(model, self.spec.preprocess)

    def _probed(self, model: ExportedModel, file: Path) -> ExportedModel:
        """Run one black image, so that a broken file fails here and not on the first image."""
        import torch

        batch = torch.zeros(1, *model.input_shape, device=self.engine.device)
        try:
            with torch.inference_mode():
                outputs = self.run_batches(batch)
        except Exception as error:  # its operations may raise anything
            raise invalid(
                file, f"it does not run: {type(error).__name__}: {str(error)[:300]}"
            ) from error
        shapes = [tuple(output.shape) for output in outputs]
        return FAMILIES[model.family].check_outputs(shapes, model, file)

    def _check_nms(self) -> None:
        wanted = self._options.nms
        if wanted is not None and wanted == self._model.end2end:
            made = "without" if self._model.end2end else "for"
            raise ConfigError(
                "OPTION_INVALID",
                f"model.nms is {str(wanted).lower()}. Expected {str(not wanted).lower()}: the "
                f"model was exported {made} non-maximum suppression; export it again with the "
                "other head.",
            )

    def _place(self) -> None:
        model = self._model
        names = self.spec.class_names or model.class_names
        if names is not None and len(names) != model.num_classes:
            raise InputError(
                "CLASS_COUNT",
                f"wrong class count: {len(names)} class names for a model with "
                f"{model.num_classes} outputs ({Path(self.spec.checkpoint or '').name})",
            )
        self._names = names
        self._reader = FAMILIES[model.family].reader(
            model,
            names or tuple(map(str, range(model.num_classes))),
            nms_settings(self._options, self.spec.min_confidence, end2end=model.end2end),
            self.engine.device,
        )

    def _info_of(self, opened: Opened, file: Path) -> ModelInfo:
        model = self._model
        source = f"export of {model.source_framework or 'an unknown'} checkpoint"
        if model.source_sha256:
            source += f" {model.source_sha256[:12]}"
        libraries = FAMILIES[model.family].libraries
        finds_objects = model.task is not TaskType.IMAGE_CLASSIFICATION
        return ModelInfo(
            framework=self.framework,
            architecture=model.architecture,
            task_type=model.task,
            num_classes=model.num_classes,
            class_names=self._names,
            class_names_source="settings" if self.spec.class_names else model.class_names_source,
            input_shape=model.input_shape,
            parameters=opened.parameters,
            flops_per_image=model.flops_per_image,
            checkpoint_path=str(file),
            checkpoint_sha256=opened.sha256,
            weights=f"{source}, {model.weights}" if model.weights else source,
            epoch=model.epoch,
            preprocess=model.preprocess,
            versions={name: version(name) for name in dict.fromkeys((*self.libraries, *libraries))},
            max_detections=max_detections(self._options) if finds_objects else None,
            keypoints=model.kpt_shape[0] if model.kpt_shape is not None else None,
        )

    def normalised(self, batch: Tensor) -> Tensor:
        """Normalise a uint8 batch exactly as the adapter of the checkpoint does."""
        import torch

        return self._reader.normalised(batch.to(torch.float32).div_(255))

    def _forward(self, batch: Tensor) -> Any:
        return self.run_batches(self.normalised(batch))

    def run_batches(self, pixels: Tensor) -> list[Tensor]:
        """Run a normalised batch; in pieces, the last one padded, where the graph's size is fixed.

        Args:
            pixels: float32 (N, C, H, W), normalised, on the engine's device.

        Returns:
            The outputs, N first.
        """
        import torch

        if self._batch is None or len(pixels) == self._batch:
            return self._run(pixels)
        pieces = []
        for start in range(0, len(pixels), self._batch):
            piece = pixels[start : start + self._batch]
            lacking = self._batch - len(piece)
            if lacking:
                piece = torch.cat([piece, piece.new_zeros(lacking, *piece.shape[1:])])
            pieces.append([out[: self._batch - lacking] for out in self._run(piece)])
        return [torch.cat(parts) for parts in zip(*pieces, strict=True)]

    def _postprocess(
        self,
        outputs: Any,
        items: Sequence[Preprocessed],
        targets: Sequence[int | None] | None,
    ) -> list[InferenceResult]:
        return self._reader.results(outputs, items, targets)


def _check_axes(model: ExportedModel, axes: Axes, file: Path) -> None:
    wanted = ("channels", "height", "width")
    for name, expected, found in zip(wanted, model.input_shape, axes[1:], strict=True):
        if found is not None and found != expected:
            raise invalid(
                file,
                f"its input has {name} {found}. Expected {expected}, as its description says: the "
                f"input is (batch, channels, height, width), up to {MAX_SIDE} pixels per side",
            )
