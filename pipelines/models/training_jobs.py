"""Registration of training jobs, from the files of a run directory or from a checkpoint."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from snellen.adapters.checkpoints.hub_folder import weights_of
from snellen.adapters.checkpoints.layouts import (
    list_checkpoints,
    names_run_directory,
    resolve_checkpoint,
)
from snellen.adapters.checkpoints.local_path import check_local_path, check_not_remote
from snellen.adapters.checkpoints.run_directory import RunDirectory, read_run_directory
from snellen.adapters.errors import InputError
from snellen.adapters.registry import adapter_for_file, load_adapter_class
from snellen.adapters.runtime.inspect import inspect_model
from snellen.adapters.types import AdapterSpec, ModelInfo
from snellen.pipelines.models.job_class_names import GIVEN, keeps_given_names, with_checkpoint_names
from snellen.store.jobs import (
    TrainingJobRecord,
    delete_training_job,
    get_training_job,
    replace_validation_results,
    training_job_of,
    transient_job,
    upsert_training_job,
)
from snellen.store.sql.database import Database
from snellen.store.views import JobView

_PROVISIONAL = "provisional"
"""Key in the ``config`` of a job whose checkpoint has not been loaded yet."""


def register_directory(
    db: Database,
    path: str | Path,
    *,
    name: str | None = None,
    class_names: Sequence[str] | None = None,
) -> JobView:
    """Register a training run directory: its job and its validation results.

    Args:
        db: the open database.
        path: a timm or an Ultralytics run directory, or one with a ``checkpoints`` folder; or a
            folder with a ``config.json``. Its weights, or a checkpoint that stores the class
            names, are loaded once.
        name: name of the job; default: the name of the directory.
        class_names: names in output order, if the directory does not contain them.

    Raises:
        InputError: REMOTE_REFUSED, RUN_DIRECTORY_UNKNOWN, RUN_DIRECTORY_INVALID or
            JOB_NAME_TAKEN.
    """
    check_not_remote(str(path), "run directory")
    weights = weights_of(Path(path).expanduser())
    if weights is not None:
        return register_file(db, weights, name=name, class_names=class_names)
    found = read_run_directory(path)
    if class_names is None:
        found = with_checkpoint_names(found)
    return register_run(db, found, name=name, class_names=class_names)


def register_run(
    db: Database,
    found: RunDirectory,
    *,
    name: str | None = None,
    class_names: Sequence[str] | None = None,
) -> JobView:
    """Register a run directory that has been read; see `register_directory`.

    Raises:
        InputError: RUN_DIRECTORY_UNKNOWN, its framework or task is unknown; JOB_NAME_TAKEN.
    """
    known = training_job_of(db, str(found.path))
    if class_names is None and known is not None and keeps_given_names(known, found):
        class_names = known.class_names
    record = _record_of(found, name, class_names)
    if record.class_names is None and known is not None and known.class_names:
        record = replace(record, config={**(known.config or {}), "args": found.config})
    job = upsert_training_job(db, record)
    replace_validation_results(db, job.id, [asdict(epoch) for epoch in found.epochs])
    return job


def job_of_directory(db: Database, path: str | Path) -> JobView:
    """Return the training job of a run directory without storing anything; see `transient_job`.

    Raises:
        InputError: as `register_directory`.
    """
    check_not_remote(str(path), "run directory")
    return transient_job(db, _record_of(read_run_directory(path), None, None))


def _record_of(
    found: RunDirectory, name: str | None, class_names: Sequence[str] | None
) -> TrainingJobRecord:
    if found.framework is None or found.task_type is None:
        raise InputError(
            "RUN_DIRECTORY_UNKNOWN",
            f"'{found.path}' has checkpoints of an unknown framework or task. Expected an "
            "args.yaml. Or set model.checkpoint to a checkpoint file, with model.adapter and "
            "model.architecture.",
        )
    names = list(class_names) if class_names else found.class_names and list(found.class_names)
    return TrainingJobRecord(
        name=name or found.path.name,
        framework=found.framework,
        task_type=str(found.task_type),
        model_name=found.model_name,
        output_dir=str(found.path),
        class_names=names or None,
        num_classes=len(names) if names else found.num_classes,
        config=_config(found, given=bool(class_names)),
        named=name is not None,
    )


def _config(found: RunDirectory, *, given: bool) -> dict[str, Any]:
    source = GIVEN if given else found.class_names_source
    return {"args": found.config, "class_names_source": source}


def register_checkpoint(
    db: Database,
    info: ModelInfo,
    class_names: Sequence[str] | None,
    *,
    name: str | None = None,
    made_of: dict[str, Any] | None = None,
) -> JobView:
    """Register a single checkpoint file as a training job.

    Args:
        db: the open database.
        info: description of the checkpoint.
        class_names: names in output order, if known.
        name: name of the job; default: the name of the file without its suffix, or of the folder
            of a ``config.json``.
        made_of: the job and the checkpoint that an exported file was made from.
    """
    path = info.checkpoint_path or info.framework
    return upsert_training_job(
        db,
        TrainingJobRecord(
            name=name or _name_of(Path(path)),
            framework=info.framework,
            task_type=str(info.task_type),
            model_name=info.architecture,
            output_dir=path,
            class_names=list(class_names) if class_names else None,
            num_classes=info.num_classes,
            named=name is not None,
            config={
                "class_names_source": info.class_names_source,
                **({"exported_from": made_of} if made_of else {}),
            },
        ),
    )


def _name_of(checkpoint: Path) -> str:
    in_hub_folder = checkpoint.is_file() and weights_of(checkpoint.parent) == checkpoint
    return checkpoint.parent.name if in_hub_folder else checkpoint.name.split(".")[0]


def submit_checkpoint(db: Database, spec: AdapterSpec, task: str) -> JobView:
    """Return the job of a single checkpoint that has not been loaded yet.

    A checkpoint without a job gets a provisional one, with only the facts of its adapter;
    `register_checkpoint` completes it when the checkpoint is loaded.

    Args:
        db: the open database.
        spec: the located model.
        task: the task of the configuration, or ``auto``.
    """
    path = spec.checkpoint or spec.adapter
    known = training_job_of(db, path)
    if known is not None:
        return known
    tasks = load_adapter_class(spec.adapter).tasks
    only = next(iter(tasks)) if len(tasks) == 1 else "auto"
    return upsert_training_job(
        db,
        TrainingJobRecord(
            name=_name_of(Path(path)),
            framework=spec.adapter,
            task_type=str(only if task == "auto" else task),
            model_name=spec.architecture,
            output_dir=path,
            config={_PROVISIONAL: True},
        ),
    )


def drop_unused_checkpoint(db: Database, job_id: int) -> None:
    """Delete a provisional job whose checkpoint was never loaded, unless runs still use it."""
    job = get_training_job(db, job_id)
    if (job.config or {}).get(_PROVISIONAL):
        with suppress(ValueError):
            delete_training_job(db, job_id)


def register_file(
    db: Database,
    path: str | Path,
    *,
    name: str | None = None,
    class_names: Sequence[str] | None = None,
    trust: bool = False,
) -> JobView:
    """Register a checkpoint file that describes its own model, such as an ONNX file.

    Args:
        db: the open database.
        path: the file.
        name: name of the job; default: the name of the file without its suffix.
        class_names: names in output order, if the file does not contain them.
        trust: load a TorchScript file, which is executable code.

    Raises:
        InputError: CHECKPOINT_UNKNOWN for any other file, or an error of loading it.
    """
    file = check_local_path(path)
    adapter = adapter_for_file(file)
    if adapter is None:
        raise InputError(
            "CHECKPOINT_UNKNOWN",
            f"'{file}' does not describe its model. Expected an exported or an Ultralytics file. "
            "Register its run directory, or set model.checkpoint, model.adapter and "
            "model.architecture.",
        )
    names = tuple(class_names) if class_names else None
    takes_trust = "trust" in load_adapter_class(adapter).options.model_fields
    options = {"trust": True} if trust and takes_trust else {}
    info = inspect_model(AdapterSpec(adapter, str(file), class_names=names, options=options)).info
    return register_checkpoint(db, info, info.class_names, name=name)


def find_job(db: Database, reference: str | int, *, register: bool = True) -> JobView:
    """Return a job by id, name or run directory.

    Args:
        db: the open database.
        reference: id, name or run directory.
        register: register a new run directory; False stores nothing.

    Raises:
        InputError: JOB_NOT_FOUND, or as `register_directory`.
    """
    if isinstance(reference, str):
        check_not_remote(reference, "model.job")
        if names_run_directory(reference):
            weights = weights_of(Path(reference).expanduser())
            if register and weights is not None:
                return register_file(db, weights)
            # No checkpoint is loaded here: what is done with the job loads it.
            found = read_run_directory(reference)
            return register_run(db, found) if register else job_of_directory(db, reference)
    return get_training_job(db, reference)


def checkpoint_of(job: JobView, which: str) -> Path:
    """Return the file of ``best``, ``last`` or an epoch of a job.

    Raises:
        InputError: CHECKPOINT_NOT_FOUND, listing the checkpoints that exist.
    """
    where = Path(job.output_dir or "")
    if where.is_file() and which in {"best", "last"}:
        return where  # a single checkpoint is its own best and last
    return resolve_checkpoint(where, which, job.framework)


def describe_job(job: JobView) -> dict[str, Any]:
    """Return the JSON document of a training job."""
    where = Path(job.output_dir or "")
    entries = list_checkpoints(where) if where.is_dir() else []
    checkpoints: list[dict[str, Any]] = [
        {"name": e.name, "epoch": e.epoch, "path": str(e.path), "metric": e.metric} for e in entries
    ]
    if where.is_file():
        checkpoints = [{"name": "best", "epoch": None, "path": str(where), "metric": None}]
    keys = ("id", "name", "framework", "task_type", "model_name", "output_dir", "class_names")
    return {**{key: getattr(job, key) for key in keys}, "checkpoints": checkpoints}
