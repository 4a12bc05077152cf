"""Find the checkpoint that a configuration names, load it once, and learn what it is."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from snellen.adapters.checkpoints.kinds import ENDINGS, adapter_of_file
from snellen.adapters.checkpoints.local_path import check_local_path, check_not_remote
from snellen.adapters.errors import ConfigError, InputError
from snellen.adapters.registry import load_adapter_class
from snellen.adapters.runtime.inspect import inspect_model
from snellen.adapters.types import AdapterSpec, ModelInfo
from snellen.pipelines.config.base import Preset
from snellen.pipelines.config.predict import AnyConfig
from snellen.pipelines.config.sections import ModelConfig
from snellen.pipelines.models.training_jobs import (
    checkpoint_of,
    find_job,
    register_checkpoint,
    register_directory,
)
from snellen.store.sql.database import Database
from snellen.store.views import JobView

if TYPE_CHECKING:
    from snellen.adapters.base import Adapter


EXPORTED = frozenset(ENDINGS.values())
"""Adapters of files that other frameworks exported."""


@dataclass(frozen=True, slots=True)
class ResolvedModel:
    """A loaded checkpoint.

    Attributes:
        spec: how workers build the same adapter; absolute paths, nothing left at auto.
        info: what was found in the checkpoint.
        reads_images: whether the adapter looks at pixels at all.
        adapter: the model itself, where this process is to run it.
        job: the training job that it belongs to, if it is registered already.
        dataset_names: class names are the data set's own (``model.class_names: dataset``).
    """

    spec: AdapterSpec
    info: ModelInfo
    reads_images: bool
    adapter: Adapter | None
    job: JobView | None
    dataset_names: bool


@dataclass(frozen=True, slots=True)
class LocatedModel:
    """A checkpoint that was found, not loaded yet; the fields are those of ResolvedModel."""

    spec: AdapterSpec
    job: JobView | None
    dataset_names: bool

    def trusted(self) -> LocatedModel:
        """The same, with ``model.trust`` where it means something."""
        if self.spec.adapter != "torchscript":
            return self
        options = {**self.spec.options, "trust": True}
        return replace(self, spec=replace(self.spec, options=options))


def locate_model(config: AnyConfig, db: Database) -> LocatedModel:
    """Find the checkpoint and describe it to an adapter. Quick: nothing heavy is imported.

    What ``model`` leaves open follows ``config.preset``: that of evaluation or of prediction.

    Raises:
        ConfigError: a setting is missing or contradicts another.
        InputError: no such job or checkpoint.
    """
    model = config.model
    job, checkpoint = _locate(model, db)
    adapter_name = model.adapter
    if adapter_name == "auto":
        of_file = adapter_of_file(checkpoint) if checkpoint is not None else None
        adapter_name = of_file or (job.framework if job is not None else "timm")
    if checkpoint is None and adapter_name in {"timm", "ultralytics", *EXPORTED}:
        raise ConfigError(
            "MODEL_MISSING",
            "model: a checkpoint is needed: model.checkpoint with a file, or model.job with a "
            "training job (and model.checkpoint: best, last or an epoch).",
        )
    names = _class_names(model, job)
    spec = AdapterSpec(
        adapter=adapter_name,
        checkpoint=str(checkpoint) if checkpoint is not None else None,
        architecture=model.architecture or _architecture(job),
        class_names=names,
        min_confidence=_min_confidence(model, config.preset),
        precision=config.run.precision,
        preprocess=config.preprocess.model_dump(exclude_none=True),
        options={**_options(model), **_detection_options(model, adapter_name, config.preset)},
    )
    return LocatedModel(spec, job, dataset_names=model.class_names == "dataset")


def load_model(located: LocatedModel, config: AnyConfig, device: str | None) -> ResolvedModel:
    """Load the checkpoint.

    Args:
        located: from ``locate_model``.
        config: of the run or the job.
        device: load it in this process, to run it here; None only looks at it, in another one.

    Raises:
        ConfigError: a setting that the adapter refuses, or a task that it is not for.
        InputError: a checkpoint that cannot be loaded.
    """
    spec, job, of_dataset = located.spec, located.job, located.dataset_names
    if device is None:
        found = inspect_model(spec)
        resolved = ResolvedModel(spec, found.info, found.reads_images, None, job, of_dataset)
    else:
        adapter = load_adapter_class(spec.adapter).from_spec(spec, device=device)
        resolved = loaded_model(adapter, spec, job, dataset_names=of_dataset)
    _check_task(config, resolved.info)
    return resolved


def loaded_model(
    adapter: Adapter, spec: AdapterSpec, job: JobView | None = None, *, dataset_names: bool = False
) -> ResolvedModel:
    """The description of an adapter that this process has loaded."""
    return ResolvedModel(spec, adapter.info, adapter.reads_images, adapter, job, dataset_names)


def _locate(model: ModelConfig, db: Database) -> tuple[JobView | None, Path | None]:
    which = model.checkpoint
    if model.job is not None:
        job = find_job(db, model.job)
        if isinstance(which, str) and not which.isdecimal() and which not in {"best", "last"}:
            return job, check_local_path(which)
        return job, checkpoint_of(job, str(which) if which is not None else "best")
    if which is None:
        return None, None
    if isinstance(which, int) or which in {"best", "last"}:
        raise ConfigError(
            "MODEL_JOB_MISSING",
            f"model.checkpoint: '{which}' names a checkpoint of a training job; set model.job.",
        )
    check_not_remote(which, "model.checkpoint")
    path = Path(which).expanduser()
    if path.is_dir():
        job = register_directory(db, path)
        return job, checkpoint_of(job, "best")
    file = check_local_path(which)
    return _job_around(db, file), file


def _job_around(db: Database, file: Path) -> JobView | None:
    """The run directory that a checkpoint lies in, if it is one."""
    for folder in (file.parent, file.parent.parent):
        if (folder / "args.yaml").is_file():
            try:
                return register_directory(db, folder)
            except InputError:
                return None
    return None


def _architecture(job: JobView | None) -> str | None:
    of_timm = job is not None and job.framework in {"timm", *EXPORTED}
    return job.model_name if job is not None and of_timm else None


def _class_names(model: ModelConfig, job: JobView | None) -> tuple[str, ...] | None:
    names = model.class_names
    if isinstance(names, tuple):
        return names
    if names == "imagenet":
        from snellen.adapters.timm.imagenet import imagenet_class_names

        return imagenet_class_names()
    if names == "dataset":
        return None
    if names == "auto":
        return tuple(job.class_names) if job is not None and job.class_names else None
    check_not_remote(names, "model.class_names")
    file = Path(names).expanduser()
    if not file.is_file():
        raise ConfigError(
            "CLASS_NAMES_NOT_FOUND",
            f"model.class_names: '{names}' is neither auto, imagenet, dataset, a list, nor an "
            "existing text file with a name a line.",
        )
    return tuple(line.strip() for line in file.read_text("utf-8").splitlines() if line.strip())


def _options(model: ModelConfig) -> dict[str, Any]:
    options = dict(model.options)
    if model.use_ema != "auto":
        options["use_ema"] = model.use_ema
    if model.match != "name":
        options["match"] = model.match
    if model.trust:
        options["trust"] = True
    return options


def _min_confidence(model: ModelConfig, preset: Preset) -> float:
    return preset.min_confidence if model.min_confidence == "auto" else model.min_confidence


def _detection_options(model: ModelConfig, adapter: str, preset: Preset) -> dict[str, Any]:
    """What the configuration says, and which classes of a box count."""
    keys = ("imgsz", "nms", "nms_iou", "max_detections")
    given = {key: getattr(model, key) for key in keys if getattr(model, key) is not None}
    if given and adapter == "timm":
        raise ConfigError(
            "OPTION_INVALID",
            f"model.{next(iter(given))} is a setting of detectors; a timm classifier's input size "
            "is preprocess.img_size.",
        )
    labelled = adapter in {"ultralytics", *EXPORTED}
    return {**given, "multi_label": preset.multi_label} if labelled else given


def _check_task(config: AnyConfig, info: ModelInfo) -> None:
    if config.task not in ("auto", info.task_type):
        raise ConfigError(
            "TASK_MISMATCH",
            f"task: {config.task} was asked for, but the checkpoint is for {info.task_type}.",
        )


def job_of(db: Database, model: ResolvedModel, class_names: tuple[str, ...]) -> JobView:
    """The model's training job; a bare checkpoint is registered now."""
    return model.job or register_checkpoint(db, model.info, class_names)
