"""The common part of the adapters of exported models: everything but opening and running a file."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from snellen.adapters.adapter_options import parse_options
from snellen.adapters.base import Adapter, Preprocessor
from snellen.adapters.checkpoints.integrity import invalid
from snellen.adapters.checkpoints.local_path import check_local_path
from snellen.adapters.errors import ConfigError, InputError
from snellen.adapters.exported.class_outputs import check_rows, output_kind
from snellen.adapters.exported.description import KEY, ExportedModel
from snellen.adapters.exported.family import FAMILIES, TIMM, YOLO, family_of, parse_description
from snellen.adapters.exported.opened import Opened, check_axes, probe_images
from snellen.adapters.exported.output_shapes import misfit
from snellen.adapters.exported.timm_family import UndescribedFile
from snellen.adapters.types import AdapterSpec, InferenceResult, ModelInfo, Preprocessed, TaskType
from snellen.adapters.ultralytics.nms import (
    YoloOptions,
    height_and_width,
    max_detections,
    nms_settings,
)

if TYPE_CHECKING:
    from torch import Tensor


class ExportedOptions(YoloOptions):
    """Options of exported models: those of YOLO models, and the meaning of a classifier's outputs.

    Attributes:
        output: what the outputs of a classifier are; ``auto`` reads it from the graph, and takes
            the outputs of a graph without softmax for logits.
    """

    output: Literal["auto", "logits", "probabilities", "log_probabilities"] = "auto"


class ExportedAdapter(Adapter):
    """A model in a file that another program runs."""

    tasks: ClassVar[frozenset[TaskType]] = frozenset(TaskType)
    options: ClassVar[type[ExportedOptions]] = ExportedOptions
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
        self._run, self._batch, self._raw = opened.run, opened.axes[0], opened.raw
        self._model = self._probed(model, opened, file)
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
            model = TIMM.from_settings(
                UndescribedFile(
                    file,
                    opened.axes,
                    self.spec.architecture,
                    self.spec.preprocess,
                    imgsz,
                    opened.raw,
                )
            )
        family = FAMILIES[model.family]
        check_axes(model, opened.axes, file)
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

    def _probed(self, model: ExportedModel, opened: Opened, file: Path) -> ExportedModel:
        """Run test images, so that a broken file fails here and not on the first image."""
        import torch

        classifies = model.task is TaskType.IMAGE_CLASSIFICATION
        stated = None if self._options.output == "auto" else self._options.output
        if stated is not None and not classifies:
            raise ConfigError(
                "OPTION_INVALID",
                f"model.options.output is {stated}. Expected auto: '{file.name}' is no classifier.",
            )
        batch = probe_images(model.input_shape, raw=opened.raw)[: None if classifies else 1]
        try:
            with torch.inference_mode():
                outputs = self.run_batches(batch.to(self.engine.device))
        except Exception as error:  # its operations may raise anything
            raise invalid(
                file, f"it does not run: {type(error).__name__}: {str(error)[:300]}"
            ) from error
        if any(len(output) != len(batch) for output in outputs if output.ndim):
            raise misfit(file, [tuple(o.shape) for o in outputs], f"{len(batch)} rows")
        checked = FAMILIES[model.family].check_outputs(
            [tuple(output.shape) for output in outputs], model, file
        )
        if not classifies:
            return checked
        kind = output_kind(stated, opened.activation, checked.output, file)
        check_rows(kind, outputs[0].flatten(1), stated=stated is not None, file=file)
        return checked.model_copy(update={"output": kind})

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
            nms_settings(self._options, self.spec, end2end=model.end2end),
            self.engine.device,
        )

    def _info_of(self, opened: Opened, file: Path) -> ModelInfo:
        model = self._model
        source = f"export of {model.source_framework or 'an unknown'} checkpoint"
        if model.source_sha256:
            source += f" {model.source_sha256[:12]}"
        weights = f"{source}, {model.weights}" if model.weights else source
        if model.output != "logits":
            weights += f"; its outputs are {model.output.replace('_', '-')}"
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
            weights=weights,
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
        return self.run_batches(batch if self._raw else self.normalised(batch))

    def run_batches(self, pixels: Tensor) -> list[Tensor]:
        """Run a batch; in pieces, the last one padded, where the graph's size is fixed.

        Args:
            pixels: (N, C, H, W) on the engine's device: float32, normalised; or uint8 where the
                graph normalises.

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
