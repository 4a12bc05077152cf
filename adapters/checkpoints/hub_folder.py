"""Folders as model hubs store them: ``config.json`` of timm or transformers beside the weights."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from snellen.adapters.checkpoints.integrity import invalid
from snellen.adapters.errors import InputError

CONFIG_NAME = "config.json"
WEIGHTS_NAMES = ("model.safetensors", "pytorch_model.bin", "pytorch_model.pth", "model.pth")
"""Names of the weights in such a folder, in the order in which timm looks for them."""
_SUFFIXES = frozenset((".safetensors", ".bin", ".pth", ".pt"))
_MAX_BYTES = 64 * 2**20
# Names that transformers makes up where a model has none.
_PLACEHOLDER = re.compile(r"LABEL_\d+")


@dataclass(frozen=True, slots=True)
class HubConfig:
    """Contents of a ``config.json``; its values are not trusted.

    Attributes:
        path: absolute.
        architecture: timm's model name, or None for a model of another library.
        num_classes: number of outputs, or None.
        class_names: names in output order, or None.
        class_names_source: source of the names, or the reason for which they are ignored.
        pretrained_cfg: timm's description of the weights: input size, crop, mean and so on.
        model_args: keyword arguments of ``timm.create_model``.
    """

    path: Path
    architecture: str | None
    num_classes: int | None = None
    class_names: tuple[str, ...] | None = None
    class_names_source: str | None = None
    pretrained_cfg: dict[str, Any] = field(default_factory=dict)
    model_args: dict[str, Any] = field(default_factory=dict)


def read_hub_config(folder: Path) -> HubConfig | None:
    """Read the ``config.json`` of a folder.

    Returns:
        None if there is none, or if it belongs to neither timm nor transformers.

    Raises:
        InputError: CHECKPOINT_INVALID, a ``config.json`` that cannot be read.
    """
    path = folder / CONFIG_NAME
    if not path.is_file():
        return None
    content = _content(path)
    if not isinstance(content, Mapping):
        return None
    architecture = content.get("architecture")
    if not isinstance(architecture, str):
        architecture = None
    if architecture is None and not isinstance(content.get("model_type"), str):
        return None
    nested = content.get("pretrained_cfg")
    # Files of older versions have one level; the values stand beside the architecture.
    pretrained = dict(nested) if isinstance(nested, Mapping) else dict(content)
    count = content.get("num_classes", pretrained.get("num_classes"))
    arguments = content.get("model_args")
    names, source = _class_names(content, pretrained)
    return HubConfig(
        path=path.absolute(),
        architecture=architecture,
        num_classes=count if isinstance(count, int) and count > 0 else None,
        class_names=names,
        class_names_source=source,
        pretrained_cfg=pretrained if architecture is not None else {},
        model_args=dict(arguments) if isinstance(arguments, Mapping) else {},
    )


def weights_of(folder: Path) -> Path | None:
    """Return the weights of a folder with a ``config.json``; None if it is no such folder.

    A folder with an ``args.yaml`` is a training run, whatever else it holds.

    Raises:
        InputError: CHECKPOINT_NOT_FOUND if it has no weights, or several files of which none has
            one of `WEIGHTS_NAMES`; CHECKPOINT_INVALID as `read_hub_config`.
    """
    if (folder / "args.yaml").is_file() or read_hub_config(folder) is None:
        return None
    folder = folder.absolute()
    for name in WEIGHTS_NAMES:
        if (folder / name).is_file():
            return folder / name
    found = sorted(path for path in folder.iterdir() if path.suffix.lower() in _SUFFIXES)
    if len(found) == 1:
        return found[0]
    listed = ", ".join(path.name for path in found[:10]) or "no weights"
    raise InputError(
        "CHECKPOINT_NOT_FOUND",
        f"'{folder}' has a {CONFIG_NAME} and {listed}. Expected one file of weights, such as "
        f"{WEIGHTS_NAMES[0]}. Set model.checkpoint to the file; merge weights that are split.",
    )


def is_hub_file(path: Path) -> bool:
    """Return True for a file of weights beside the ``config.json`` of a timm model."""
    if path.suffix.lower() not in _SUFFIXES or (path.parent / "args.yaml").is_file():
        return False
    try:
        config = read_hub_config(path.parent)
    except InputError:
        return False
    return config is not None and config.architecture is not None


def _content(path: Path) -> Any:
    size = path.stat().st_size
    if size > _MAX_BYTES:
        raise invalid(path, f"it has {size} bytes. Expected at most {_MAX_BYTES}.")
    try:
        return json.loads(path.read_text("utf-8"))
    except (ValueError, RecursionError) as error:
        raise invalid(
            path,
            f"it is not JSON ({str(error)[:200]}). Expected the description of the weights beside "
            "it. Repair it, or move the weights to another folder.",
        ) from error


def _class_names(
    content: Mapping[str, Any], pretrained: Mapping[str, Any]
) -> tuple[tuple[str, ...] | None, str | None]:
    for found, key in (
        (content.get("label_names"), "label_names"),
        (pretrained.get("label_names"), "pretrained_cfg.label_names"),
        (pretrained.get("labels"), "labels"),
        (content.get("id2label"), "id2label"),
    ):
        if not isinstance(found, list | Mapping) or not found:
            continue
        source = f"{CONFIG_NAME} {key}"
        names = list(found) if isinstance(found, list) else _in_order(found)
        if names is None:
            return None, f"ignored {source}: its ids are not 0 to {len(found) - 1}"
        if any(_PLACEHOLDER.fullmatch(str(name)) for name in names):
            continue
        return tuple(map(str, names)), source
    return None, None


def _in_order(names: Mapping[str, Any]) -> list[Any] | None:
    """Return the names of a mapping id -> name, or None if the ids have gaps."""
    ids = [str(number) for number in range(len(names))]
    return [names[number] for number in ids] if set(ids) == set(names) else None
