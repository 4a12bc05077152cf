"""Training run directories: framework, model, class names, epochs and checkpoints."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from snellen.adapters.checkpoints.class_names import Readable, anything, find_class_names
from snellen.adapters.checkpoints.layouts import CheckpointEntry, list_checkpoints
from snellen.adapters.checkpoints.training_log import (
    TIMM_RESULTS,
    ULTRALYTICS_RESULTS,
    EpochResult,
    read_epochs,
)
from snellen.adapters.errors import InputError
from snellen.adapters.types import TaskType
from snellen.adapters.ultralytics.tasks import YOLO_TASKS


@dataclass(frozen=True, slots=True)
class RunDirectory:
    """Description of a training run, read from its directory.

    Attributes:
        path: absolute.
        framework: ``timm``, ``ultralytics``, or None for a bare ``checkpoints/`` folder.
        task_type: None if the directory does not say it.
        model_name: the framework's model name, never a path, or None.
        class_names, class_names_source: names in output order, and their source.
        num_classes: from the names, or from the run's arguments.
        config: the run's arguments, plain JSON values.
        epochs: in the order of the run's csv file.
        checkpoints: best, last, then epochs.
    """

    path: Path
    framework: str | None
    task_type: TaskType | None
    model_name: str | None
    class_names: tuple[str, ...] | None = None
    class_names_source: str | None = None
    num_classes: int | None = None
    config: dict[str, Any] = field(default_factory=dict)
    epochs: list[EpochResult] = field(default_factory=list)
    checkpoints: list[CheckpointEntry] = field(default_factory=list)


def read_run_directory(path: str | Path, readable: Readable = anything) -> RunDirectory:
    """Recognise and read a training run directory.

    Args:
        path: the directory.
        readable: called before a path is read that its arguments name outside of it.

    Raises:
        InputError: RUN_DIRECTORY_UNKNOWN if no layout is recognised, RUN_DIRECTORY_INVALID for
            an ``args.yaml`` that is not a mapping.
    """
    root = Path(path).expanduser().resolve()
    if not root.is_dir():
        raise InputError("RUN_DIRECTORY_UNKNOWN", f"{str(root)!r} is not a directory")
    config = _read_args(root / "args.yaml")
    checkpoints = list_checkpoints(root)
    framework = _framework(root, config, checkpoints)
    if framework is None and not checkpoints:
        raise InputError(
            "RUN_DIRECTORY_UNKNOWN",
            f"{str(root)!r} is not a training run. Expected a timm run (args.yaml, "
            f"{TIMM_RESULTS}, last.pth.tar, model_best.pth.tar), an Ultralytics run (args.yaml, "
            f"{ULTRALYTICS_RESULTS}, weights/best.pt) or checkpoints/best.pth, last.pth, "
            "epoch_N.pth; use the directory that holds these.",
        )
    names, source = find_class_names(root, config if framework == "timm" else {}, readable)
    return RunDirectory(
        path=root,
        framework=framework,
        task_type=_task(framework, config),
        model_name=_model_name(framework, config),
        class_names=names,
        class_names_source=source,
        num_classes=len(names) if names else _positive(config.get("num_classes")),
        config=config,
        epochs=read_epochs(root),
        checkpoints=checkpoints,
    )


def _read_args(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        loaded = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        message = f"{str(path)!r} is not valid YAML: {error}"
        raise InputError("RUN_DIRECTORY_INVALID", message) from error
    if not isinstance(loaded, Mapping):
        message = f"{str(path)!r} is a {type(loaded).__name__}. Expected a mapping of arguments."
        raise InputError("RUN_DIRECTORY_INVALID", message)
    return {str(key): _plain(value) for key, value in loaded.items()}


def _plain(value: Any) -> Any:
    """Convert a YAML value to JSON types; dates and non-finite numbers become text."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set)):
        return [_plain(item) for item in value]
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return str(value)
    return value if isinstance(value, (str, int, float, bool, type(None))) else str(value)


def _framework(
    root: Path, config: Mapping[str, Any], checkpoints: list[CheckpointEntry]
) -> str | None:
    if (root / "weights").is_dir() and (config or (root / ULTRALYTICS_RESULTS).is_file()):
        return "ultralytics"
    names = {entry.path.name for entry in checkpoints}
    if any(name.endswith(".pth.tar") for name in names):
        return "timm"
    if (root / TIMM_RESULTS).is_file() and "model" in config:
        return "timm"
    if (root / ULTRALYTICS_RESULTS).is_file() and "task" in config:
        return "ultralytics"
    return "ultralytics" if any(entry.path.suffix == ".pt" for entry in checkpoints) else None


def _task(framework: str | None, config: Mapping[str, Any]) -> TaskType | None:
    if framework == "timm":
        return TaskType.IMAGE_CLASSIFICATION
    task = YOLO_TASKS.get(str(config.get("task")))
    return task.task_type if task is not None else None


def _model_name(framework: str | None, config: Mapping[str, Any]) -> str | None:
    model = config.get("model")
    if not isinstance(model, str) or not model:
        return None
    # Ultralytics trains from a file, of which it keeps the path: /home/me/yolo11n.pt
    is_file = framework == "ultralytics"
    return PurePosixPath(model.replace("\\", "/")).stem if is_file else model


def _positive(value: object) -> int | None:
    return value if isinstance(value, int) and value > 0 else None
