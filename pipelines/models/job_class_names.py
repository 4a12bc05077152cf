"""The class names of a training job, where its checkpoints store them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from snellen.adapters.checkpoints.run_directory import RunDirectory
from snellen.adapters.errors import SnellenError
from snellen.adapters.registry import adapter_for_file
from snellen.adapters.runtime.inspect import inspect_model
from snellen.adapters.types import AdapterSpec, ModelInfo
from snellen.store.jobs import TrainingJobRecord, upsert_training_job
from snellen.store.sql.database import Database
from snellen.store.views import JobView

GIVEN = "given at registration"
"""Source of class names that the user gave; they apply to every checkpoint of the job."""
CHECKPOINT = "checkpoint"
"""Beginning of the source of class names that a checkpoint stores."""


def with_checkpoint_names(found: RunDirectory) -> RunDirectory:
    """Return a run directory with the class names of its best checkpoint, where it has none.

    A checkpoint that an adapter recognises, such as one of Ultralytics, is loaded once, in another
    process. One that cannot be loaded gives no names; their source says why.
    """
    if found.class_names is not None or not found.checkpoints:
        return found
    file = found.checkpoints[0].path
    adapter = adapter_for_file(file)
    if adapter is None:
        return found
    try:
        info = inspect_model(AdapterSpec(adapter, str(file))).info
    except SnellenError as error:
        return replace(found, class_names_source=f"ignored {file.name}: {error.message}")
    return replace(
        found,
        class_names=info.class_names,
        class_names_source=f"{CHECKPOINT} {file.name}",
        num_classes=info.num_classes,
    )


def keeps_given_names(job: JobView, found: RunDirectory) -> bool:
    """Return True if the names that a user gave to a job apply to its run directory, read again.

    Names in files of the run directory replace them; those of its checkpoints do not.
    """
    of_checkpoint = (found.class_names_source or "").startswith(CHECKPOINT)
    return _source_of(job) == GIVEN and (found.class_names is None or of_checkpoint)


def _source_of(job: JobView) -> str:
    return (job.config or {}).get("class_names_source") or ""


def names_for_checkpoints(job: JobView | None) -> tuple[str, ...] | None:
    """Return the class names that a job gives to its checkpoints.

    None where the checkpoints store their own, as a run directory may hold other ones by now.
    """
    if job is None or not job.class_names or _source_of(job).startswith(CHECKPOINT):
        return None
    return tuple(job.class_names)


def complete_job(db: Database, job: JobView, info: ModelInfo) -> None:
    """Store the class names of a loaded checkpoint with its job, if the job knows none.

    Args:
        db: the open database.
        job: of a run directory.
        info: description of one of its checkpoints; names of settings are not stored.
    """
    if job.class_names or info.class_names is None or info.class_names_source != CHECKPOINT:
        return
    source = f"{CHECKPOINT} {Path(info.checkpoint_path).name}"
    upsert_training_job(
        db,
        TrainingJobRecord(
            name=job.name,
            framework=job.framework,
            task_type=job.task_type,
            model_name=job.model_name,
            output_dir=job.output_dir or info.checkpoint_path,
            class_names=list(info.class_names),
            num_classes=info.num_classes,
            config={**(job.config or {}), "class_names_source": source},
        ),
    )
