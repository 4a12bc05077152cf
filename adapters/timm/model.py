"""Construction of the timm model that a checkpoint belongs to."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

from snellen.adapters.checkpoints.local_path import check_not_remote
from snellen.adapters.checkpoints.state_dict import LoadedCheckpoint
from snellen.adapters.errors import ConfigError, InputError
from snellen.adapters.plugins import nearest

if TYPE_CHECKING:
    from torch import nn

Size = tuple[int, int]
"""Height and width in pixels."""
# Arguments of timm's trainer that change the model, and their names in create_model.
_RUN_KWARGS = {"gp": "global_pool", "bn_eps": "bn_eps"}
_FORBIDDEN_KWARGS = (
    "pretrained", "checkpoint_path", "pretrained_cfg", "pretrained_cfg_overlay", "cache_dir",
    "num_classes",
)  # fmt: skip
# Fields of a pretrained config that describe the layers, not the weights.
_OF_LAYERS = ("classifier", "first_conv", "fixed_input_size")
# Fields of a pretrained config that name files and addresses of weights.
_SOURCES = frozenset(("url", "file", "state_dict", "hf_hub_id", "hf_hub_filename", "source"))


def import_timm() -> Any:
    """Import timm in offline mode, so that it downloads nothing."""
    os.environ["HF_HUB_OFFLINE"] = "1"  # read by huggingface_hub when it is imported
    import timm

    return timm


def check_architecture(name: str) -> str:
    """Return a model name that timm lists; a pretrained tag (``resnet50.a1_in1k``) is kept.

    Raises:
        InputError: REMOTE_REFUSED for ``hf-hub:`` and the like, ARCHITECTURE_UNKNOWN with the
            nearest names.
    """
    check_not_remote(name, "architecture")
    known = import_timm().list_models()
    if name.split(".")[0] not in known:
        raise InputError(
            "ARCHITECTURE_UNKNOWN",
            f"architecture {name!r} is unknown. Expected one of timm's {len(known)} models"
            f"{nearest(name, known) or '.'}",
        )
    return name


@dataclass(frozen=True, slots=True)
class KwargSources:
    """Sources of the arguments of ``create_model``, the least important first.

    Attributes:
        hub_args: ``model_args`` of a ``config.json``.
        run_args: arguments of the training run: channels, pooling, batch-norm epsilon,
            ``model_kwargs``.
        settings: ``model_kwargs`` of the settings.
        size: height and width that the settings or the run ask for.
    """

    hub_args: Mapping[str, Any] = field(default_factory=dict)
    run_args: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    size: Size | None = None


@dataclass(frozen=True, slots=True)
class Blueprint:
    """A model of timm as it is created.

    Attributes:
        architecture: a model name of timm.
        config: timm's description of its weights, of the registry or of a ``config.json``.
        kwargs: arguments of ``create_model`` besides the name and the number of classes.
        described: the description is that of a ``config.json``.
    """

    architecture: str
    config: Mapping[str, Any]
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    described: bool = False

    @classmethod
    def of(cls, architecture: str, config: Mapping[str, Any] | None = None) -> Blueprint:
        """Return the blueprint of an architecture.

        Args:
            architecture: a model name of timm.
            config: ``pretrained_cfg`` of a ``config.json``; None takes the one of the registry.
        """
        import_timm()
        from timm.models import get_pretrained_cfg

        found = get_pretrained_cfg(architecture, allow_unregistered=True)
        registered = found.to_dict() if found is not None else {}
        if not config:
            return cls(architecture, registered)
        from timm.models import PretrainedCfg

        known = {entry.name for entry in fields(PretrainedCfg)} - _SOURCES
        stated = {k: v for k, v in config.items() if k in known and v is not None}
        of_layers = {key: registered[key] for key in _OF_LAYERS if key in registered}
        return cls(architecture, {**of_layers, **stated}, described=True)

    def with_kwargs(self, sources: KwargSources) -> Blueprint:
        """Return the blueprint with the arguments of all sources.

        Raises:
            ConfigError: OPTION_INVALID, the run's ``model_kwargs`` are not a mapping, or two input
                sizes for a model of fixed size.
        """
        kwargs = {**sources.hub_args, **_kwargs_of_run(sources.run_args), **sources.settings}
        for key in _FORBIDDEN_KWARGS:
            kwargs.pop(key, None)
        made = Blueprint(self.architecture, self.config, kwargs, self.described)
        # Only models of fixed size, transformers mostly, take the size as an argument.
        if sources.size is None or not made.fixed:
            return made
        stated = sources.settings.get("img_size")
        if stated is not None and pair(stated) != sources.size:
            raise ConfigError(
                "OPTION_INVALID",
                f"model.options.model_kwargs.img_size is {stated}. Expected {sources.size[0]} x "
                f"{sources.size[1]}, the input size. Remove it, and set preprocess.img_size alone.",
            )
        return Blueprint(
            self.architecture, self.config, {**kwargs, "img_size": sources.size}, self.described
        )

    @property
    def fixed(self) -> bool:
        """True for a model that takes images of one size only, that it is created with."""
        return bool(
            self.config.get("fixed_input_size", False)
            and not self.kwargs.get("dynamic_img_size", False)
            and not self.kwargs.get("use_naflex", False)
            and self.kwargs.get("strict_img_size", True)
        )

    @property
    def fixed_size(self) -> Size | None:
        """Height and width of a model of fixed size that its arguments state."""
        size = self.kwargs.get("img_size")
        return pair(size) if self.fixed and size is not None else None

    @property
    def channels(self) -> int:
        """Number of channels of the input."""
        stated = self.kwargs.get("in_chans")
        size = self.config.get("input_size") or (3,)
        return int(size[0] if stated is None else stated)

    @property
    def classifiers(self) -> tuple[str, ...]:
        """Module names of the last layers, e.g. ("fc",) or ("head", "head_dist")."""
        names = self.config.get("classifier") or ()
        return (names,) if isinstance(names, str) else tuple(names)

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the names and shapes of the model's tensors; no memory is used for them.

        Raises:
            ConfigError: as `create`.
        """
        import torch

        try:
            with torch.device("meta"):
                model = self.create()
        except ConfigError:  # some models compute with values when they are created
            model = self.create()
        return {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}

    def create(self, num_classes: int | None = None) -> nn.Module:
        """Create the model with random weights; None takes timm's number of classes.

        Raises:
            ConfigError: MODEL_KWARGS_INVALID, the architecture does not accept an argument.
        """
        timm = import_timm()
        given = dict(self.kwargs)
        if num_classes is not None:
            given["num_classes"] = num_classes
        if self.described:
            given["pretrained_cfg"] = dict(self.config)
        try:
            model: nn.Module = timm.create_model(self.architecture, pretrained=False, **given)
        except (TypeError, ValueError, AssertionError, RuntimeError) as error:
            raise ConfigError(
                "MODEL_KWARGS_INVALID",
                f"timm cannot create {self.architecture!r} with {dict(self.kwargs)}: {error}",
            ) from error
        return model


def pair(size: Any) -> Size:
    """Return height and width of a side in pixels, or of [height, width]."""
    if isinstance(size, list | tuple):
        return int(size[0]), int(size[-1])
    return int(size), int(size)


def run_size(run_args: Mapping[str, Any]) -> Size | None:
    """Return the input size that a training run's arguments state.

    ``input_size`` is [channels, height, width] for timm's trainer, one number for others.
    """
    size = run_args.get("input_size")
    if size:
        return pair(size[-2:] if isinstance(size, list | tuple) else size)
    size = run_args.get("img_size")
    return pair(size) if size else None


def _kwargs_of_run(run_args: Mapping[str, Any]) -> dict[str, Any]:
    kwargs: dict[str, Any] = {}
    size = run_args.get("input_size")
    channels = size[0] if isinstance(size, list | tuple) and len(size) == 3 else None
    channels = channels or run_args.get("in_chans") or run_args.get("chans")
    if channels is not None:
        kwargs["in_chans"] = int(channels)
    for argument, keyword in _RUN_KWARGS.items():
        if run_args.get(argument) is not None:
            kwargs[keyword] = run_args[argument]
    of_run = run_args.get("model_kwargs") or {}
    if not isinstance(of_run, Mapping):
        raise ConfigError(
            "OPTION_INVALID",
            f"model_kwargs in the run's arguments is {of_run!r}. Expected a mapping.",
        )
    return {**kwargs, **of_run}


def count_classes(blueprint: Blueprint, loaded: LoadedCheckpoint, by_position: bool) -> int | None:
    """Return the number of outputs of the checkpoint's last layer, or None if unknown."""
    names = [f"{name}.weight" for name in blueprint.classifiers]
    if by_position and names:
        order = list(blueprint.shapes())
        tensors = list(loaded.state_dict.values())
        found = [
            tensors[order.index(name)]
            for name in names
            if name in order and order.index(name) < len(tensors)
        ]
    else:
        found = [loaded.state_dict[name] for name in names if name in loaded.state_dict]
    if found:
        return int(found[0].shape[0])
    stated = loaded.args.get("num_classes")
    if stated is None and loaded.class_names is not None:
        return len(loaded.class_names)
    return stated if isinstance(stated, int) and stated > 0 else None


def flops_per_image(model: nn.Module, input_shape: Sequence[int]) -> float | None:
    """Count the floating-point operations of one image, 2 per multiply-add.

    The model runs on shapes alone (device ``meta``), so nothing is computed. None if it cannot.
    """
    import torch
    from torch.func import functional_call
    from torch.utils.flop_counter import FlopCounterMode

    state = {
        name: value.to("meta")
        for name, value in (*model.named_parameters(), *model.named_buffers())
    }
    image = torch.zeros(1, *input_shape, device="meta")
    try:
        with torch.inference_mode(), FlopCounterMode(display=False) as counter:
            functional_call(model, state, (image,))
    except Exception:  # a model that depends on values; the number is optional
        return None
    return float(counter.get_total_flops())
