"""Adapter of timm classifiers: the run's model with timm's own evaluation transform."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field

from snellen.adapters.adapter_options import AdapterOptions, parse_options
from snellen.adapters.base import Adapter, Preprocessor
from snellen.adapters.checkpoints.apply import apply_state
from snellen.adapters.checkpoints.digest import sha256_file
from snellen.adapters.checkpoints.hub_folder import is_hub_file
from snellen.adapters.checkpoints.prefix import PrefixChoice
from snellen.adapters.errors import ConfigError
from snellen.adapters.explanations import Explanation
from snellen.adapters.result_builders import classification_results
from snellen.adapters.timm.gradcam import grad_cam
from snellen.adapters.timm.model import (
    Blueprint,
    KwargSources,
    count_classes,
    flops_per_image,
    import_timm,
    pair,
)
from snellen.adapters.timm.origin import Origin, read_origin
from snellen.adapters.timm.transforms import (
    DataSources,
    TimmPreprocessor,
    check_overrides,
    resolve_config,
)
from snellen.adapters.types import (
    AdapterSpec,
    DecodedImage,
    InferenceResult,
    ModelInfo,
    Preprocessed,
    TaskType,
)

if TYPE_CHECKING:
    from torch import Tensor, nn

    from snellen.adapters.exported.writer import Exportable


class TimmOptions(AdapterOptions):
    """Options of the adapter.

    Attributes:
        use_ema: take the averaged weights where the checkpoint has them.
        prefix: prefix of the model's names in the checkpoint (``student.``), where several models
            of its architecture are in it.
        match: pair the checkpoint's tensors with the model's by name; or by position, for
            checkpoints of another implementation whose tensors have the same shapes in the same
            order.
        model_kwargs: keyword arguments of ``timm.create_model``.
        random_weights: build the model without a checkpoint, with weights from a fixed seed.
        num_classes: number of outputs; None takes it from the checkpoint.
    """

    hints: ClassVar[Mapping[str, str]] = dict.fromkeys(
        ("imgsz", "nms", "nms_iou", "agnostic_nms", "max_detections"),
        "It is a setting of detectors; a timm classifier's input size is preprocess.img_size.",
    )

    use_ema: bool = True
    prefix: str | None = None
    match: Literal["name", "position"] = "name"
    model_kwargs: dict[str, Any] = Field(default_factory=dict)
    random_weights: bool = False
    num_classes: Annotated[int, Field(ge=1)] | None = None


class TimmAdapter(Adapter):
    """A timm classification model and its checkpoint."""

    framework: ClassVar[str] = "timm"
    tasks: ClassVar[frozenset[TaskType]] = frozenset({TaskType.IMAGE_CLASSIFICATION})
    options: ClassVar[type[AdapterOptions]] = TimmOptions
    needs_checkpoint: ClassVar[bool] = True
    takes_architecture: ClassVar[bool] = True
    exportable: ClassVar[bool] = True

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Return True for weights beside the ``config.json`` of a timm model."""
        return is_hub_file(path)

    @classmethod
    def preprocessor(cls, spec: AdapterSpec, info: ModelInfo) -> Preprocessor:
        """Return timm's evaluation transform without normalisation."""
        import_timm()
        return TimmPreprocessor(info.preprocess)

    def _load(self, inference_mode: bool) -> tuple[ModelInfo, dict[str, Any]]:
        import torch

        import_timm()
        overrides = check_overrides(self.spec.preprocess)
        options = parse_options(TimmOptions, self.spec.options, self.framework)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            origin = Origin() if options.random_weights else read_origin(self.spec, options.use_ema)
            blueprint = self._blueprint(origin, options)
            if options.match == "name":
                choice = PrefixChoice(options.prefix, options.use_ema, blueprint.classifiers)
                origin = origin.named_as(blueprint.shapes, choice)
            model = _build(origin, blueprint, options)
        size = blueprint.fixed_size or origin.size
        sources = DataSources(
            overrides, origin.run_args, origin.run_source, blueprint.described, size
        )
        config = resolve_config(model, sources, blueprint.channels)
        if "img_size" in overrides:
            _check_size(model.eval(), config, blueprint.architecture)
        info = self._describe(model, blueprint, origin, config)
        self._place(model, config, info, inference_mode)
        loaded = origin.loaded
        if loaded is None:
            return info, {}
        states = {"optimizer": loaded.optimizer, "scheduler": loaded.scheduler}
        return info, {**states, "epoch": loaded.epoch}

    def _blueprint(self, origin: Origin, options: TimmOptions) -> Blueprint:
        architecture, config = origin.architecture(self.spec)
        size = self.spec.preprocess.get("img_size") or origin.size
        blueprint = Blueprint.of(architecture, config).with_kwargs(
            KwargSources(
                hub_args=origin.hub.model_args if origin.hub is not None else {},
                run_args=origin.run_args,
                settings=options.model_kwargs,
                size=None if size is None else pair(size),
            )
        )
        if blueprint.channels not in (1, 3):
            raise ConfigError(
                "MODEL_KWARGS_INVALID",
                f"the model takes {blueprint.channels} channels. Expected 3 (RGB) or 1 (grey).",
            )
        return blueprint

    def _describe(
        self, model: nn.Module, blueprint: Blueprint, origin: Origin, config: dict[str, Any]
    ) -> ModelInfo:
        count, loaded = int(getattr(model, "num_classes", 0)), origin.loaded
        names, source = origin.class_names(self.spec, count)
        matched = " matched by position" if self.spec.options.get("match") == "position" else ""
        return ModelInfo(
            framework=self.framework,
            architecture=blueprint.architecture,
            task_type=TaskType.IMAGE_CLASSIFICATION,
            num_classes=count,
            class_names=names,
            class_names_source=source,
            input_shape=tuple(config["input_size"]),
            parameters=sum(parameter.numel() for parameter in model.parameters()),
            flops_per_image=flops_per_image(model.eval(), config["input_size"]),
            checkpoint_path=str(loaded.path) if loaded else "",
            checkpoint_sha256=sha256_file(loaded.path) if loaded else "",
            weights=f"{loaded.weights}{matched}" if loaded else "random",
            epoch=loaded.epoch if loaded else None,
            preprocess=config,
            versions={
                name: version(name) for name in ("torch", "torchvision", "timm", "pillow", "numpy")
            },
        )

    def _place(
        self, model: nn.Module, config: Mapping[str, Any], info: ModelInfo, inference_mode: bool
    ) -> None:
        import torch

        device = self.engine.device
        # Channels last is 1.3 to 2 times as fast for convolutions on CPUs too, and rounds within
        # 1e-5 of the default.
        model = model.to(device)
        model = model.to(memory_format=torch.channels_last)
        self.model = model.eval() if inference_mode else model.train()
        if inference_mode:
            self.model.requires_grad_(False)
        shape = (1, -1, 1, 1)
        self._mean = torch.tensor(config["mean"], dtype=torch.float32).view(shape).to(device)
        self._std = torch.tensor(config["std"], dtype=torch.float32).view(shape).to(device)
        self._labels = info.class_names or tuple(map(str, range(info.num_classes)))

    def _forward(self, batch: Tensor) -> Any:
        return self.model(self._normalised(batch))

    def _normalised(self, batch: Tensor) -> Tensor:
        import torch

        # In the order of torchvision's ToTensor and Normalize, for equal bits.
        pixels = batch.to(torch.float32, memory_format=torch.channels_last).div_(255)
        return pixels.sub_(self._mean).div_(self._std)

    def explain(self, image: DecodedImage, class_id: int | None = None) -> Explanation:
        """Explain a class, or the predicted one; see `snellen.adapters.timm.gradcam`.

        Raises:
            ConfigError: EXPLAIN_UNSUPPORTED, an architecture without feature maps.
            ImageError: stage ``preprocess``.
        """
        import torch

        item = self.preprocess(image)
        batch = torch.from_numpy(item.array[None]).to(self.engine.device)
        found = grad_cam(self.model, self._normalised(batch), class_id, self.info.architecture)
        region = TimmPreprocessor(self.info.preprocess).region(image)
        return Explanation(*found, region)

    def _postprocess(
        self,
        outputs: Any,
        items: Sequence[Preprocessed],
        targets: Sequence[int | None] | None,
    ) -> list[InferenceResult]:
        return classification_results(outputs, items, targets, self._labels)

    def as_exportable(self) -> Exportable:
        """Return the classifier as a module from normalised images to logits."""
        from snellen.adapters.exported.family import describe
        from snellen.adapters.exported.writer import Exportable

        return Exportable(copy.deepcopy(self.model).cpu().eval(), describe(self.info, "timm"))


def _build(origin: Origin, blueprint: Blueprint, options: TimmOptions) -> nn.Module:
    """Create the model with the weights of its checkpoint, or with random ones if it has none."""
    loaded = origin.loaded
    if loaded is None:
        return blueprint.create(options.num_classes)
    by_position = options.match == "position"
    counted = count_classes(blueprint, loaded, by_position)
    if options.num_classes is None:
        origin.check_class_count(counted)
    model = blueprint.create(counted if options.num_classes is None else options.num_classes)
    apply_state(model, loaded, by_position=by_position, classifiers=blueprint.classifiers)
    return model


def _check_size(model: nn.Module, config: Mapping[str, Any], architecture: str) -> None:
    """Run one black image, so that a size that the model cannot take fails before the run."""
    import torch

    try:
        with torch.inference_mode():
            model(torch.zeros(1, *config["input_size"]))
    except Exception as error:  # layers may raise anything
        _, height, width = config["input_size"]
        raise ConfigError(
            "PREPROCESS_INVALID",
            f"preprocess.img_size is {height} x {width}, at which {architecture} fails "
            f"({str(error)[:300]}). Expected a size that the model takes. Remove "
            "preprocess.img_size, or set a multiple of the model's patch or stride.",
        ) from error
