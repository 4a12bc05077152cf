"""Submit a run: check what can be checked without a model, and store a ``pending`` row."""

from __future__ import annotations

import shutil
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from snellen.adapters.errors import InputError
from snellen.pipelines.config.stored import stored_config
from snellen.pipelines.models.load import wrap_adapter
from snellen.pipelines.models.locate import ModelRequest, locate_model
from snellen.pipelines.models.training_jobs import (
    drop_unused_checkpoint,
    register_checkpoint,
    submit_checkpoint,
)
from snellen.pipelines.planning.fingerprint import snellen_version
from snellen.pipelines.runs.kinds import RunContext
from snellen.store.runs import delete_run
from snellen.store.views import JobView


@dataclass(frozen=True, slots=True)
class _Submitted:
    """The model of a submitted run, as far as it is known without loading it."""

    job: JobView
    checkpoint_path: str
    task_type: str
    architecture: str


def submit(context: RunContext) -> int:
    """Check the configuration, store a row with the status ``pending``, and return its id.

    No model is loaded. What the checkpoint tells (task, classes) is filled in by `execute`.

    Raises:
        ConfigError, InputError: a setting is wrong, or there is no such job, checkpoint or
            dataset; nothing is stored.
    """
    kind, config = context.kind, context.config
    columns, images = kind.describe_input(config)
    known = _model(context)
    return kind.create(
        context.db,
        training_job_id=known.job.id,
        name=config.name or f"{known.architecture}-{images}",
        checkpoint_path=known.checkpoint_path,
        task_type=known.task_type,
        class_names=known.job.class_names,
        status="pending",
        config=stored_config(config),
        total_images=0,
        snellen_version=snellen_version(),
        **columns,
    )


def _model(context: RunContext) -> _Submitted:
    if context.adapter is not None:
        context.kind.check_input(context.config)
        info = wrap_adapter(context.adapter).info
        job = context.job or register_checkpoint(context.db, info, info.class_names)
        return _Submitted(job, info.checkpoint_path, str(info.task_type), info.architecture)
    located = locate_model(ModelRequest.of(context.config), context.db)
    context.kind.check_input(context.config)
    spec = located.spec
    job = located.job or submit_checkpoint(context.db, spec, str(located.task))
    checkpoint = spec.checkpoint or ""
    architecture = spec.architecture or job.model_name or job.name
    return _Submitted(job, checkpoint, job.task_type, architecture)


def discard(context: RunContext, run_id: int) -> None:
    """Remove a run that could not be started: its row, its folder, and its provisional job."""
    run = context.row(run_id)
    with suppress(InputError):
        delete_run(context.db, run_id, kind=context.kind.name)
        drop_unused_checkpoint(context.db, run.training_job_id)
        if run.results_dir is not None:
            shutil.rmtree(Path(run.results_dir), ignore_errors=True)
