"""What the adapters of exported models share: all but opening the file and running it."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from snellen.adapters.base import Adapter, Preprocessor
from snellen.adapters.checkpoints.bombs import invalid
from snellen.adapters.checkpoints.local_path import check_local_path
from snellen.adapters.errors import ConfigError, InputError
from snellen.adapters.exported.foreign import Axes, from_timm, from_ultralytics
from snellen.adapters.exported.model import (
    KEY,
    MAX_SIDE,
    ExportedModel,
    parse_description,
    with_overrides,
)
from snellen.adapters.exported.outputs import check_outputs
from snellen.adapters.options import parse_options
from snellen.adapters.results import classification_results
from snellen.adapters.types import AdapterSpec, InferenceResult, ModelInfo, Preprocessed, TaskType
from snellen.adapters.ultralytics.preprocess import yolo_preprocessor
from snellen.adapters.ultralytics.results import (
    YoloHead,
    YoloOptions,
    nms_settings,
    object_results,
)

if TYPE_CHECKING:
    from torch import Tensor

_TIMM_LIBRARIES = ("torch", "torchvision", "timm", "pillow", "numpy")
_YOLO_LIBRARIES = ("torch", "ultralytics")


@dataclass(frozen=True, slots=True)
class Opened:
    """A file that can be run.

    Attributes:
        run: float32 (N, C, H, W) on the engine's device -> outputs, float32, there as well.
        axes: of the input: batch, channels, height, width; None where the graph leaves it open.
        metadata: texts that travel in the file.
        sha256: of the file.
        parameters: numbers among its weights.
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
        if "imgsz" in info.preprocess:
            return yolo_preprocessor(info)
        from snellen.adapters.timm.transforms import TimmPreprocessor

        return TimmPreprocessor(info.preprocess)

    @abstractmethod
    def _open(self, file: Path) -> Opened:
        """Check the file and make it ready to run."""

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
                "CHECKPOINT_MISSING", f"the adapter {self.framework} needs a file, its checkpoint"
            )
        if not inference_mode:
            raise InputError(
                "MODEL_NOT_TRAINABLE",
                f"'{self.spec.checkpoint}' is an exported model, which cannot be trained; load "
                "the checkpoint that it was made of.",
            )
        if self.spec.precision != "fp32":
            raise ConfigError(
                "PRECISION_UNKNOWN",
                f"run.precision: {self.spec.precision} was asked for, and an exported model "
                "computes in the precision that it was exported with; leave it at fp32.",
            )

    def _describe(self, opened: Opened, file: Path) -> ExportedModel:
        """What the file is: by its own word, by Ultralytics' properties, or as a timm model."""
        text = opened.metadata.get(KEY)
        imgsz = self._options.imgsz
        what = f"checkpoint '{file}'"
        if text is not None:
            model = parse_description(str(text), what)
        elif "task" in opened.metadata and "names" in opened.metadata:
            model = from_ultralytics(opened.metadata, opened.axes, file.stem, imgsz)
        else:
            model = from_timm(self.spec.architecture, opened.axes, what)
        _check_axes(model, opened.axes, file)
        if imgsz is not None and tuple(model.input_shape[1:]) != (imgsz, imgsz):
            raise ConfigError(
                "OPTION_INVALID",
                f"model.imgsz: {imgsz} was asked for, and '{file.name}' was exported for "
                f"{model.input_shape[1]} x {model.input_shape[2]} pixels; export it at that size.",
            )
        return with_overrides(model, dict(self.spec.preprocess))

    def _probed(self, model: ExportedModel, file: Path) -> ExportedModel:
        """Run one black image: a file that does not compute fails here, not on the first image."""
        import torch

        batch = torch.zeros(1, *model.input_shape, device=self.engine.device)
        try:
            with torch.inference_mode():
                outputs = self.run_batches(batch)
        except Exception as error:  # whatever its operations raise
            raise invalid(
                file, f"it does not run: {type(error).__name__}: {str(error)[:300]}"
            ) from error
        return check_outputs([tuple(output.shape) for output in outputs], model, file)

    def _check_nms(self) -> None:
        wanted = self._options.nms
        if wanted is not None and wanted == self._model.end2end:
            made = "without" if self._model.end2end else "for"
            raise ConfigError(
                "OPTION_INVALID",
                f"model.nms: {str(wanted).lower()} was asked for, and the model was exported "
                f"{made} non-maximum suppression; export it again with the other head.",
            )

    def _place(self) -> None:
        import torch

        model, device = self._model, self.engine.device
        names = self.spec.class_names or model.class_names
        if names is not None and len(names) != model.num_classes:
            raise InputError(
                "CLASS_COUNT",
                f"wrong class count: {len(names)} class names for a model with "
                f"{model.num_classes} outputs ({Path(self.spec.checkpoint or '').name})",
            )
        self._names = names
        self._labels = names or tuple(map(str, range(model.num_classes)))
        if model.family == "timm":
            shape = (1, -1, 1, 1)
            self._mean = torch.tensor(model.preprocess["mean"]).view(shape).to(device)
            self._std = torch.tensor(model.preprocess["std"]).view(shape).to(device)
        if model.task is not TaskType.IMAGE_CLASSIFICATION:
            self._head = YoloHead(
                model.task,
                model.num_classes,
                model.input_shape[1:],
                nms_settings(self._options, self.spec.min_confidence, end2end=model.end2end),
                end2end=model.end2end,
                kpt_shape=model.kpt_shape,
            )

    def _info_of(self, opened: Opened, file: Path) -> ModelInfo:
        model = self._model
        source = f"export of {model.source_framework or 'an unknown'} checkpoint"
        if model.source_sha256:
            source += f" {model.source_sha256[:12]}"
        libraries = _TIMM_LIBRARIES if model.family == "timm" else _YOLO_LIBRARIES
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
        )

    def normalised(self, batch: Tensor) -> Tensor:
        """The input of the graph: as the adapters of the checkpoints do it, bit for bit."""
        import torch

        pixels = batch.to(torch.float32).div_(255)
        if self._model.family == "timm":
            pixels = pixels.sub_(self._mean).div_(self._std)
        return pixels

    def _forward(self, batch: Tensor) -> Any:
        return self.run_batches(self.normalised(batch))

    def run_batches(self, pixels: Tensor) -> list[Tensor]:
        """Run a batch; in pieces, the last one filled up, where the graph has a fixed size."""
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
        import torch

        model = self._model
        if model.task is not TaskType.IMAGE_CLASSIFICATION:
            protos = outputs[1] if model.task is TaskType.INSTANCE_SEGMENTATION else None
            return object_results(outputs[0], protos, items, self._head)
        logits = outputs[0].float()
        if model.probabilities:
            # The softmax of a logarithm of probabilities is the probabilities; 0 has none.
            logits = logits.clamp(min=torch.finfo(torch.float32).tiny).log()
        return classification_results(logits, items, targets, self._labels)


def _check_axes(model: ExportedModel, axes: Axes, file: Path) -> None:
    wanted = ("channels", "height", "width")
    for name, expected, found in zip(wanted, model.input_shape, axes[1:], strict=True):
        if found is not None and found != expected:
            raise invalid(
                file,
                f"its input has {name} {found}, and its description says {expected}; the input is "
                f"(batch, channels, height, width), up to {MAX_SIDE} pixels a side",
            )
    if model.family == "yolo" and model.input_shape[0] != 3:
        raise invalid(file, f"its input has {model.input_shape[0]} channels; images here are RGB")
    if model.task is TaskType.IMAGE_CLASSIFICATION and model.family == "yolo":
        _, height, width = model.input_shape
        if height != width:
            raise invalid(file, f"a YOLO classifier takes squares, this one {height} x {width}")
