"""Construction of the timm model that a checkpoint belongs to."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from snellen.adapters.checkpoints.local_path import check_not_remote
from snellen.adapters.checkpoints.state_dict import LoadedCheckpoint
from snellen.adapters.errors import ConfigError, InputError
from snellen.adapters.plugins import nearest

if TYPE_CHECKING:
    from torch import nn

# Arguments of timm's trainer that change the model, and their names in create_model.
_RUN_KWARGS = {"gp": "global_pool", "bn_eps": "bn_eps"}


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


def classifier_names(architecture: str) -> tuple[str, ...]:
    """Return the module names of a model's last layers, e.g. ("fc",) or ("head", "head_dist")."""
    import_timm()
    from timm.models import get_pretrained_cfg

    config = get_pretrained_cfg(architecture, allow_unregistered=True)
    names = getattr(config, "classifier", None) or ()
    return (names,) if isinstance(names, str) else tuple(names)


def model_kwargs(
    architecture: str, run_args: Mapping[str, Any], overrides: Mapping[str, Any], img_size: Any
) -> dict[str, Any]:
    """Return the arguments of ``create_model`` besides the name and the number of classes.

    Args:
        architecture: a model name of timm.
        run_args: arguments of the training run: channels, pooling, batch-norm epsilon,
            ``model_kwargs``.
        overrides: ``model_kwargs`` of the settings, which win.
        img_size: side of the input in pixels, or [height, width], or None.

    Raises:
        ConfigError: OPTION_INVALID where the run's ``model_kwargs`` are not a mapping.
    """
    from timm.models import get_pretrained_cfg

    kwargs: dict[str, Any] = {}
    size = run_args.get("input_size")
    channels = size[0] if size else run_args.get("in_chans") or run_args.get("chans")
    if channels is not None:
        kwargs["in_chans"] = int(channels)
    for argument, keyword in _RUN_KWARGS.items():
        if run_args.get(argument) is not None:
            kwargs[keyword] = run_args[argument]
    config = get_pretrained_cfg(architecture, allow_unregistered=True)
    # Only models of fixed size, transformers mostly, take the size as an argument.
    if img_size is not None and getattr(config, "fixed_input_size", False):
        kwargs["img_size"] = img_size
    of_run = run_args.get("model_kwargs") or {}
    if not isinstance(of_run, Mapping):
        raise ConfigError(
            "OPTION_INVALID",
            f"model_kwargs in the run's arguments is {of_run!r}. Expected a mapping.",
        )
    kwargs |= {**of_run, **overrides}
    for key in (
        "pretrained",
        "checkpoint_path",
        "pretrained_cfg",
        "pretrained_cfg_overlay",
        "cache_dir",
        "num_classes",
    ):
        kwargs.pop(key, None)
    return kwargs


def create_model(
    architecture: str, num_classes: int | None, kwargs: Mapping[str, Any]
) -> nn.Module:
    """Create a model with random weights.

    Raises:
        ConfigError: MODEL_KWARGS_INVALID, the architecture does not accept an argument.
    """
    timm = import_timm()
    counted = {} if num_classes is None else {"num_classes": num_classes}
    try:
        model: nn.Module = timm.create_model(architecture, pretrained=False, **counted, **kwargs)
    except (TypeError, ValueError, AssertionError, RuntimeError) as error:
        raise ConfigError(
            "MODEL_KWARGS_INVALID",
            f"timm cannot create {architecture!r} with {dict(kwargs)}: {error}",
        ) from error
    return model


def count_classes(
    architecture: str, loaded: LoadedCheckpoint, kwargs: Mapping[str, Any], by_position: bool
) -> int | None:
    """Return the number of outputs of the checkpoint's last layer, or None if unknown."""
    import torch

    names = [f"{name}.weight" for name in classifier_names(architecture)]
    if by_position and names:
        with torch.device("meta"):
            order = list(create_model(architecture, None, kwargs).state_dict())
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
