"""Safe reading of an Ultralytics checkpoint."""

from __future__ import annotations

import threading
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from snellen.adapters.checkpoints.digest import sha256_file
from snellen.adapters.checkpoints.integrity import (
    check_expansion,
    check_tensors,
    invalid,
    unreadable,
)
from snellen.adapters.checkpoints.local_path import check_local_path
from snellen.adapters.errors import ConfigError, InputError
from snellen.adapters.ultralytics.environment import import_ultralytics
from snellen.adapters.ultralytics.tasks import YOLO_TASKS, YoloTask

if TYPE_CHECKING:
    from torch import nn

_ZIP, _PICKLE = b"PK", b"\x80"
_MODEL_CLASSES = b"ultralytics.nn.tasks"
"""Module of the model classes; the pickle of a checkpoint names it in its first bytes."""
_INSPECTED = 2**20
_building = threading.Lock()


@dataclass(frozen=True, slots=True)
class YoloCheckpoint:
    """A loaded model in evaluation mode, fp32, on the CPU, with the facts of its file.

    Attributes:
        end2end: the head needs no non-maximum suppression.
        kpt_shape: number of keypoints and numbers per keypoint, of a pose model.
        imgsz: side of the square that it was trained at, in pixels.
        channels: of its input: 3 (RGB) or 1 (grey).
    """

    model: nn.Module
    path: str
    sha256: str
    task: YoloTask
    names: tuple[str, ...]
    architecture: str
    epoch: int | None
    weights: str
    imgsz: int
    stride: int
    end2end: bool
    kpt_shape: tuple[int, int] | None
    channels: int
    states: dict[str, Any]


def load_yolo(path: str, *, fuse: bool, nms: bool | None = None) -> YoloCheckpoint:
    """Load a ``.pt`` checkpoint of the YOLOv8, 11 or 26 families.

    Args:
        path: a local file; never a name that could be downloaded.
        fuse: merge convolutions and their batch norms, as Ultralytics does for inference, and
            drop the head that is not used.
        nms: False for the end-to-end head of a model that has one; None and True for the other
            head if the model has both.

    Raises:
        InputError: REMOTE_REFUSED, CHECKPOINT_NOT_FOUND, CHECKPOINT_UNREADABLE,
            CHECKPOINT_UNSAFE, CHECKPOINT_INVALID, or TASK_UNSUPPORTED.
        ConfigError: OPTION_INVALID, ``nms`` for a head that the model does not have.
    """
    file = check_local_path(path)
    import_ultralytics()
    if file.suffix != ".pt":
        raise InputError(
            "CHECKPOINT_INVALID",
            f"checkpoint '{file}' has the suffix {file.suffix!r}. Expected .pt; Ultralytics reads "
            "files with other suffixes as other formats.",
        )
    _check_file(file)
    model, content = _load(file)
    _choose_head(model, nms)
    if fuse:
        model = _fused(model, file)
    task = YOLO_TASKS.get(str(getattr(model, "task", "")))
    if task is None:
        raise InputError(
            "TASK_UNSUPPORTED",
            f"checkpoint '{file}' is for the task '{getattr(model, 'task', None)}'. Expected one "
            f"of {', '.join(YOLO_TASKS)}.",
        )
    names = model.names
    head = model.model[-1]  # type: ignore[index]
    arguments = content.get("train_args") or {}
    return YoloCheckpoint(
        model=model,
        path=str(file),
        sha256=sha256_file(file),
        task=task,
        names=tuple(str(names[i]) for i in range(len(names))),  # type: ignore[index, arg-type]
        architecture=_architecture(model, arguments),
        epoch=_epoch(content),
        weights="ema" if content.get("ema") is not None else "model",
        imgsz=_imgsz(arguments, task),
        stride=int(max(getattr(model, "stride", [32]))),
        end2end=bool(getattr(model, "end2end", False)),
        kpt_shape=_kpt_shape(head) if task.has_keypoints else None,
        channels=check_channels(_channels(model), task, file),
        states={key: content.get(key) for key in ("optimizer", "scheduler", "epoch")},
    )


def is_yolo_file(path: Path) -> bool:
    """Return True if a ``.pt`` file names Ultralytics' model classes; nothing in it is run."""
    return path.suffix == ".pt" and _MODEL_CLASSES in _pickle_start(path)


def _pickle_start(file: Path) -> bytes:
    """Return the beginning of the pickle of a ``torch.save`` file, or empty bytes."""
    try:
        with zipfile.ZipFile(file) as archive:
            names = [name for name in archive.namelist() if name.endswith("data.pkl")]
            if not names:
                return b""
            with archive.open(names[0]) as member:
                return member.read(_INSPECTED)
    except (zipfile.BadZipFile, OSError, ValueError, RuntimeError, NotImplementedError):
        pass
    try:
        with file.open("rb") as stream:
            return stream.read(_INSPECTED)
    except OSError:
        return b""


def _check_file(path: Path) -> None:
    """Reject a file that is not a checkpoint, and decompression bombs, before reading it."""
    size = path.stat().st_size
    if size == 0:
        raise unreadable(path, "the file is empty")
    if zipfile.is_zipfile(path):
        check_expansion(path, size)
        return
    with path.open("rb") as file:
        start = file.read(2)
    if start[:1] != _PICKLE:
        kind = "a truncated archive" if start == _ZIP else "not a checkpoint"
        raise unreadable(path, f"it is {kind}")


def _choose_head(model: nn.Module, nms: bool | None) -> None:
    """Choose the head that Ultralytics takes at ``nms``, regardless of the saved setting."""
    has_free = getattr(model.model[-1], "one2one_cv2", None) is not None  # type: ignore[index]
    if nms is False and not has_free:
        raise ConfigError(
            "OPTION_INVALID",
            "model.nms is false. Expected true or no setting: this model has no head that works "
            "without suppression.",
        )
    if has_free:
        model.end2end = nms is False  # type: ignore[assignment]
    if nms and getattr(model, "end2end", False):
        raise ConfigError(
            "OPTION_INVALID",
            "model.nms is true. Expected false or no setting: this model only has a head that "
            "works without suppression.",
        )


def _fused(model: nn.Module, path: Path) -> nn.Module:
    try:
        fused: nn.Module = model.fuse().eval()  # type: ignore[operator]
    except Exception as error:  # its layers may raise anything
        raise invalid(
            path, f"its layers and weights do not fit: {type(error).__name__}: {error}"
        ) from error
    return fused


def _load(path: Path) -> tuple[nn.Module, dict[str, Any]]:
    from ultralytics.nn.tasks import torch_safe_load

    try:
        content = torch_safe_load(str(path), safe_only=True)[0]
        _check_content(content, path)
        model = _build(content, path)
    except InputError:
        raise
    except TypeError as error:
        if "outside the supported" not in str(error):
            raise unreadable(path, "it is truncated or not a checkpoint") from error
        raise InputError(
            "CHECKPOINT_UNSAFE",
            f"checkpoint '{path}' is rejected: it holds objects that are not part of an "
            "Ultralytics model. Nothing in it was run.",
        ) from error
    except Exception as error:  # damaged in a way that its reader does not expect
        raise InputError(
            "CHECKPOINT_INVALID",
            f"checkpoint '{path}' is not an Ultralytics model: {type(error).__name__}: {error}",
        ) from error
    return model, content


def _build(content: dict[str, Any], path: Path) -> nn.Module:
    """Build the model with Ultralytics' ``load_checkpoint``, from the content that was checked.

    That function reads the file again, which may have changed since.
    """
    from ultralytics.nn import tasks

    thread = threading.get_ident()

    def read(*args: Any, **options: Any) -> Any:
        here = threading.get_ident() == thread
        return (content, str(path)) if here else read_file(*args, **options)

    with _building:
        read_file = tasks.torch_safe_load
        tasks.torch_safe_load = read
        try:
            model: nn.Module = tasks.load_checkpoint(str(path), fuse=False)[0]
        finally:
            tasks.torch_safe_load = read_file
    return model


def _check_content(content: Any, path: Path) -> None:
    """Reject files without a model, and quantised models, which install packages when loaded."""
    from torch import nn

    if not isinstance(content, dict):
        raise invalid(
            path, f"it holds a {type(content).__name__}. Expected a mapping with a model."
        )
    if content.get("modelopt"):
        raise InputError(
            "CHECKPOINT_UNSAFE",
            f"checkpoint '{path}' has modelopt quantisation, which installs packages when it is "
            "loaded. Export the model without it.",
        )
    model = content.get("ema") or content.get("model")
    if not isinstance(model, nn.Module):
        keys = ", ".join(sorted(str(key) for key in content)[:10]) or "nothing"
        raise invalid(path, f"it has {keys}. Expected an Ultralytics model under 'ema' or 'model'.")
    # Buffers that are not part of a state dict have elements, too.
    check_tensors(path, {**dict(model.named_parameters()), **dict(model.named_buffers())})


def _architecture(model: nn.Module, arguments: dict[str, Any]) -> str:
    document = getattr(model, "yaml", None)
    name = document.get("yaml_file") if isinstance(document, dict) else None
    text = str(name or arguments.get("model") or type(model).__name__)
    return text.rsplit("/", 1)[-1].rsplit(".", 1)[0]


def check_channels(channels: int, task: YoloTask, path: Path) -> int:
    """Return the number of channels of the input if it is supported.

    Raises:
        InputError: CHECKPOINT_INVALID.
    """
    # Ultralytics itself has no grey input for classifiers.
    expected = {3: "3, RGB", 1: "1, grey"} if task.finds_objects else {3: "3, RGB"}
    if channels not in expected:
        raise invalid(
            path,
            f"its input has {channels} channels. Expected {' or '.join(expected.values())}.",
        )
    return channels


def _channels(model: nn.Module) -> int:
    document = getattr(model, "yaml", None)
    return int(document.get("channels", 3)) if isinstance(document, dict) else 3


def _epoch(content: dict[str, Any]) -> int | None:
    epoch = content.get("epoch")
    return epoch if isinstance(epoch, int) and epoch >= 0 else None


def _imgsz(arguments: dict[str, Any], task: YoloTask) -> int:
    size = arguments.get("imgsz")
    if isinstance(size, list | tuple) and size:
        size = max(size)
    return int(size) if isinstance(size, int | float) and size > 0 else task.default_imgsz


def _kpt_shape(head: Any) -> tuple[int, int] | None:
    shape = getattr(head, "kpt_shape", None)
    return (int(shape[0]), int(shape[1])) if shape is not None else None
