"""Safe reading of a checkpoint: tensors and plain values; no code in the file is run."""

from __future__ import annotations

import argparse
import pickle
import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from snellen.adapters.checkpoints.integrity import (
    check_expansion,
    check_tensors,
    invalid,
    unreadable,
)
from snellen.adapters.checkpoints.local_path import check_local_path
from snellen.adapters.checkpoints.weight_sets import choose_weights
from snellen.adapters.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

_NAME_KEYS = ("class_names", "classes", "names")
_REASON = re.compile(r"(Trying to (load|call)|Unsupported|Can only|String is too|Object)[^\n]*")
_REFUSED = re.compile(r"GLOBAL|reduce|Can only (create|build)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class LoadedCheckpoint:
    """Contents of a checkpoint file.

    Attributes:
        path: absolute.
        state_dict: name -> tensor on the CPU, with the names of the file.
        weights: description of the chosen weights, for people: their key (``state_dict_ema``), or
            ``file`` if the file is itself a state dict; and the keys of the others.
        averaged: they are averaged over the training (EMA).
        outside: names without the prefix that was removed from the others.
        epoch: the checkpoint's own numbering, or None (also for Ultralytics' -1).
        arch: the framework's model name as stored in the checkpoint, or None.
        class_names: names in output order if the file holds them, else None.
        args: the arguments of the training run, plain values.
        optimizer, scheduler: their states, or None.
        metric: the metric that the trainer stored with it, or None.
    """

    path: Path
    state_dict: dict[str, Tensor]
    weights: str
    averaged: bool = False
    outside: tuple[str, ...] = ()
    epoch: int | None = None
    arch: str | None = None
    class_names: tuple[str, ...] | None = None
    args: dict[str, Any] = field(default_factory=dict)
    optimizer: dict[str, Any] | None = None
    scheduler: dict[str, Any] | None = None
    metric: float | None = None


def load_state(path: str | Path, *, use_ema: bool = True) -> LoadedCheckpoint:
    """Read a checkpoint safely; nothing in the file is executed.

    Args:
        path: local file: ``torch.save`` of a state dict or of a dict around one, or safetensors.
        use_ema: take the averaged weights if the file has them, as timm's ``load_checkpoint``
            does by default (its ``validate.py`` does so only with ``--use-ema``).

    Raises:
        InputError: REMOTE_REFUSED, CHECKPOINT_NOT_FOUND, CHECKPOINT_UNSAFE (needs code to be
            run), CHECKPOINT_UNREADABLE (empty, truncated, not a checkpoint) or
            CHECKPOINT_INVALID (no state dict, expanded tensors, NaN or infinite weights).
    """
    file = check_local_path(path)
    content = _read(file)
    if not isinstance(content, Mapping) or not content:
        raise invalid(file, f"the file holds {_kind(content)}. Expected a dict with weights.")
    chosen = choose_weights(file, content, use_ema=use_ema)
    check_tensors(file, chosen.state)
    args = _plain_args(content.get("args"))
    arch = content.get("arch", args.get("model"))
    metric = content.get("metric")
    epoch = content.get("epoch")
    return LoadedCheckpoint(
        path=file,
        state_dict=chosen.state,
        weights=chosen.text,
        averaged=chosen.averaged,
        epoch=epoch if isinstance(epoch, int) and epoch >= 0 else None,
        arch=arch if isinstance(arch, str) else None,
        class_names=_class_names(content),
        args=args,
        optimizer=_dict_or_none(content, "optimizer", "optimizer_state_dict"),
        scheduler=_dict_or_none(content, "lr_scheduler", "scheduler", "scheduler_state_dict"),
        metric=float(metric) if isinstance(metric, (int, float)) else None,
    )


def _kind(content: object) -> str:
    return "an empty dict" if isinstance(content, Mapping) else f"a {type(content).__name__}"


def _read(path: Path) -> Any:
    size = path.stat().st_size
    if size == 0:
        raise unreadable(path, "the file is empty")
    if path.suffix.lower() == ".safetensors":
        return _read_safetensors(path)
    archive = zipfile.is_zipfile(path)
    if archive:
        check_expansion(path, size)
    return _read_torch(path, mmap=archive)


def _read_safetensors(path: Path) -> Any:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path, device="cpu")
    except (SafetensorError, OSError, ValueError) as error:
        raise unreadable(path, str(error)) from error


def _read_torch(path: Path, *, mmap: bool) -> Any:
    import torch

    try:
        with torch.serialization.safe_globals([argparse.Namespace]):
            content = torch.load(path, map_location="cpu", weights_only=True, mmap=mmap)
        if isinstance(content, torch.nn.Module):
            # Possible once Ultralytics has allowed its own layers to be unpickled in this process.
            raise pickle.UnpicklingError("it holds a whole model: Unsupported global")
        return content
    except pickle.UnpicklingError as error:
        reason = _first_reason(str(error))
        if _REFUSED.search(reason) or _is_plain_pickle(path):
            raise InputError(
                "CHECKPOINT_UNSAFE",
                f"checkpoint {str(path)!r} is a pickle that needs to run code, and nothing was "
                f"run: {reason}. Expected weights alone: torch.save(model.state_dict(), path).",
            ) from error
        raise unreadable(path, reason) from error
    except Exception as error:  # errors of damaged files have no common type
        raise unreadable(path, f"{type(error).__name__}: {str(error)[:200]}") from error


def _is_plain_pickle(path: Path) -> bool:
    """Return True for a pickle of protocol 4 or 5, which torch.save never writes."""
    with path.open("rb") as file:
        return file.read(2) in (b"\x80\x04", b"\x80\x05")


def _first_reason(message: str) -> str:
    """Return the objection of the unpickler, without its advice to trust the file."""
    found = _REASON.search(message)
    text = found.group(0) if found else "not a checkpoint"
    return text.split(" was not an allowed global")[0][:300].rstrip(". ")


def _plain_args(args: object) -> dict[str, Any]:
    if isinstance(args, argparse.Namespace):
        return dict(vars(args))
    return dict(args) if isinstance(args, Mapping) else {}


def _class_names(content: Mapping[str, Any]) -> tuple[str, ...] | None:
    for key in _NAME_KEYS:
        names = content.get(key)
        if isinstance(names, Mapping) and all(isinstance(index, int) for index in names):
            names = [names[index] for index in sorted(names)]
        if isinstance(names, (list, tuple)) and names:
            return tuple(str(name) for name in names)
    index_of = content.get("class_to_idx")
    if isinstance(index_of, Mapping) and index_of:
        return tuple(str(name) for name in sorted(index_of, key=lambda name: index_of[name]))
    return None


def _dict_or_none(content: Mapping[str, Any], *keys: str) -> dict[str, Any] | None:
    return next((content[key] for key in keys if isinstance(content.get(key), dict)), None)
