"""Location of the checkpoint that a configuration names, and its description for an adapter."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from snellen.adapters.adapter_options import parse_options
from snellen.adapters.checkpoints.hub_folder import weights_of
from snellen.adapters.checkpoints.local_path import check_local_path, check_not_remote
from snellen.adapters.errors import ConfigError, InputError
from snellen.adapters.registry import ADAPTERS, adapter_for_file, load_adapter_class
from snellen.adapters.text_files import read_class_names
from snellen.adapters.types import AdapterSpec, TaskType
from snellen.pipelines.config.base import EVALUATION, Preset
from snellen.pipelines.config.sections import CommonConfig, ModelConfig, PreprocessConfig
from snellen.pipelines.models.job_class_names import names_for_checkpoints
from snellen.pipelines.models.training_jobs import checkpoint_of, find_job
from snellen.store.sql.database import Database
from snellen.store.views import JobView


@dataclass(frozen=True, slots=True)
class ModelRequest:
    """A model as a configuration names it.

    Attributes:
        model: the ``model`` section of a configuration.
        preprocess: overrides of the model's preprocessing.
        precision: ``fp32``, ``fp16`` or ``bf16``.
        preset: values of detector settings that ``model`` leaves at ``auto``.
        task: the task that the checkpoint must be for, or ``auto``.
        register: register the run directory of the checkpoint; False stores nothing.
    """

    model: ModelConfig
    preprocess: PreprocessConfig = field(default_factory=PreprocessConfig)
    precision: str = "fp32"
    preset: Preset = EVALUATION
    task: Literal["auto"] | TaskType = "auto"
    register: bool = True

    @staticmethod
    def of(config: CommonConfig) -> ModelRequest:
        """Return the model that a configuration names."""
        return ModelRequest(
            config.model, config.preprocess, config.run.precision, config.preset, config.task
        )


@dataclass(frozen=True, slots=True)
class LocatedModel:
    """A checkpoint that is located and not loaded yet.

    Attributes:
        spec: the specification of the adapter for workers: absolute paths, no ``auto``.
        job: the registered training job of the checkpoint, if any.
        dataset_names: class names are the dataset's (``model.class_names: dataset``).
        task: the task that the checkpoint must be for, or ``auto``.
    """

    spec: AdapterSpec
    job: JobView | None
    dataset_names: bool
    task: Literal["auto"] | TaskType = "auto"

    def trusted(self) -> LocatedModel:
        """Return the model with ``model.trust`` set, if the adapter has that option."""
        if "trust" not in load_adapter_class(self.spec.adapter).options.model_fields:
            return self
        options = {**self.spec.options, "trust": True}
        return replace(self, spec=replace(self.spec, options=options))


def locate_model(request: ModelRequest, db: Database) -> LocatedModel:
    """Locate the checkpoint without importing a framework or reading weights.

    Raises:
        ConfigError: a setting is missing or contradicts another one; ADAPTER_UNKNOWN and the
            like; OPTION_INVALID, an option that the adapter rejects.
        InputError: there is no such job or checkpoint.
    """
    model, preset = request.model, request.preset
    job, checkpoint = _locate(request, db)
    adapter_name = model.adapter
    if adapter_name == "auto":
        of_file = adapter_for_file(checkpoint) if checkpoint is not None else None
        adapter_name = of_file or (job.framework if job is not None else "timm")
    adapter = load_adapter_class(adapter_name)
    if checkpoint is None and adapter.needs_checkpoint:
        raise ConfigError(
            "MODEL_MISSING",
            f"the model of the adapter {adapter_name} has no checkpoint. Expected model.checkpoint "
            "with a file, or model.job with a training job (and model.checkpoint: best, last or an "
            "epoch).",
        )
    spec = AdapterSpec(
        adapter=adapter_name,
        checkpoint=str(checkpoint) if checkpoint is not None else None,
        architecture=model.architecture or _architecture(job),
        class_names=_class_names(model, job),
        min_confidence=(
            preset.min_confidence if model.min_confidence == "auto" else model.min_confidence
        ),
        multi_label=preset.multi_label,
        precision=request.precision,
        preprocess=request.preprocess.model_dump(exclude_none=True),
        options=_options(model),
    )
    parse_options(adapter.options, spec.options, adapter_name)
    return LocatedModel(spec, job, model.class_names == "dataset", request.task)


def _locate(request: ModelRequest, db: Database) -> tuple[JobView | None, Path | None]:
    model, which = request.model, request.model.checkpoint
    if model.job is not None:
        job = find_job(db, model.job, register=request.register)
        if isinstance(which, str) and not which.isdecimal() and which not in {"best", "last"}:
            return job, check_local_path(which)
        return job, checkpoint_of(job, str(which) if which is not None else "best")
    if which is None:
        return None, None
    if isinstance(which, int) or which in {"best", "last"}:
        raise ConfigError(
            "MODEL_JOB_MISSING",
            f"model.checkpoint: '{which}' is a checkpoint of a training job. Expected model.job, "
            "too. Set model.job=NAME.",
        )
    check_not_remote(which, "model.checkpoint")
    path = Path(which).expanduser()
    if path.is_dir():
        weights = weights_of(path)
        if weights is not None:
            return None, weights
        job = find_job(db, str(path), register=request.register)
        return job, checkpoint_of(job, "best")
    file = check_local_path(which)
    return _job_around(db, file, request.register), file


def _job_around(db: Database, file: Path, register: bool) -> JobView | None:
    """Return the job of the run directory around a checkpoint, if there is one."""
    for folder in (file.parent, file.parent.parent):
        if (folder / "args.yaml").is_file():
            try:
                return find_job(db, str(folder), register=register)
            except InputError:
                return None
    return None


def _architecture(job: JobView | None) -> str | None:
    if job is None or job.framework not in ADAPTERS.targets():
        return None
    return job.model_name if load_adapter_class(job.framework).takes_architecture else None


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
        return names_for_checkpoints(job)
    check_not_remote(names, "model.class_names")
    file = Path(names).expanduser()
    if not file.is_file():
        raise ConfigError(
            "CLASS_NAMES_NOT_FOUND",
            f"model.class_names: the file '{names}' does not exist. Expected auto, imagenet, "
            "dataset, a list, or a text file with one name per line.",
        )
    return read_class_names(file)


def _options(model: ModelConfig) -> dict[str, Any]:
    """Return the adapter's options that the ``model`` section sets."""
    options = dict(model.options)
    if model.use_ema != "auto":
        options["use_ema"] = model.use_ema
    if model.match != "name":
        options["match"] = model.match
    for key in ("trust", "agnostic_nms"):
        if getattr(model, key):
            options[key] = True
    for key in ("imgsz", "nms", "nms_iou", "max_detections"):
        if getattr(model, key) is not None:
            options[key] = getattr(model, key)
    return options
