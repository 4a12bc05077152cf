"""Execute a run: load the model, list the images, score the units, compute the results."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from snellen.adapters.errors import ConfigError, InputError
from snellen.adapters.runtime.garbage import collection_paused
from snellen.pipelines.config.loader import build_as
from snellen.pipelines.execution.engine import Engine
from snellen.pipelines.execution.inline import InlineEngine
from snellen.pipelines.execution.retry_failed import units_to_retry
from snellen.pipelines.execution.worker.spec import Retry
from snellen.pipelines.execution.worker.unit_worker import UnitWorker
from snellen.pipelines.models.job_class_names import complete_job
from snellen.pipelines.models.training_jobs import drop_unused_checkpoint, register_checkpoint
from snellen.pipelines.planning.fingerprint import (
    Fingerprint,
    reject_changes,
    reject_metric_changes,
    reject_setting_changes,
)
from snellen.pipelines.planning.units import make_units
from snellen.pipelines.runs.commit_loop import CommitLoop
from snellen.pipelines.runs.finish import finish_run, results_folder
from snellen.pipelines.runs.kinds import RunContext
from snellen.pipelines.runs.ownership import OwnedRun, owned_run
from snellen.pipelines.runs.run_folder import make_run_folder, output_root
from snellen.pipelines.runs.setup.prepare import Prepared, prepare
from snellen.pipelines.runs.setup.run_parts import Resolved, resolve_dataset, resolve_model
from snellen.pipelines.runs.submit import discard, submit
from snellen.store.kinds import TEST_RUN
from snellen.store.ledger import committed_units
from snellen.store.parquet.unit_files import verify_units
from snellen.store.parquet.unit_record import UnitRecord
from snellen.store.runs import runs_that_read
from snellen.store.views import AnyRun


def submit_and_execute(context: RunContext) -> AnyRun:
    """Submit a run and execute it here; one that cannot be started leaves nothing behind.

    Raises:
        ConfigError, InputError: nothing was started.
        RunError: the run was started and failed; it can be resumed.
        RunInterrupted: Ctrl-C, or a cancel request; it can be resumed.
    """
    run_id = submit(context)
    try:
        return execute(context, run_id)
    except (ConfigError, InputError):
        if not _began(context.row(run_id)):
            discard(context, run_id)
        raise


def execute(context: RunContext, run_id: int) -> AnyRun:
    """Execute a ``pending`` run to its end, in this process.

    Raises:
        InputError: RUN_STATUS, it is not pending; RUN_BUSY; or whatever is wrong with the model
            or the images, which the row says, too (status ``failed``).
        RunError: the run was started and failed; it can be resumed.
        RunInterrupted: Ctrl-C, or a cancel request; it can be resumed.
    """
    run = context.row(run_id)
    if run.status != "pending":
        words = context.kind.words
        raise InputError(
            "RUN_STATUS",
            f"{words.noun} {run.id} is {run.status}. Expected a pending one. Fix: "
            f"{words.resume.format(run.id)}",
        )
    return _execute(context, run)


def resume(context: RunContext, run: AnyRun, retry: frozenset[str] = frozenset()) -> AnyRun:
    """Execute what is left of a run; a completed run with intact files is returned as it is.

    Args:
        context: what the run is executed with.
        run: its row.
        retry: error codes of failed images that are scored again.

    Raises:
        InputError: RUN_BUSY; RESUME_CHANGED with every difference, of a completed run, too;
            MANIFEST_CHANGED.
        RunError: it failed again; it can be resumed.
        RunInterrupted: Ctrl-C, or a cancel request; it can be resumed.
    """
    if run.status == "completed":
        before = build_as(context.kind.config, run.config)
        reject_setting_changes(before, context.config, f"{context.kind.words.noun} {run.id}")
        folder = results_folder(run)
        records = committed_units(context.db, context.kind.name, run.id)
        intact = not verify_units(folder, records)
        if intact and not units_to_retry(folder, records, retry):
            reject_metric_changes(before, context.config, run.id)
            words = "; it has no failed images with these error codes" if retry else ""
            context.reporter.note(
                f"{context.kind.words.noun} {run.id} is completed already; its files are intact"
                + words
            )
            return run
    return _execute(context, run, retry)


def _began(run: AnyRun) -> bool:
    """Return True once the run has a manifest, so that there is something to resume."""
    return (run.fingerprint or {}).get("manifest_hash") is not None


def _execute(context: RunContext, run: AnyRun, retry: frozenset[str] = frozenset()) -> AnyRun:
    # The stack ends Ray after the run's row has its last status.
    with ExitStack() as stack, owned_run(context, run) as owned:
        with collection_paused():
            loaded = resolve_model(context, stack)
        if _began(run):
            before = build_as(context.kind.config, run.config)
            name = f"{context.kind.words.noun} {run.id}"
            stored = Fingerprint(
                before, run.fingerprint or {}, (run.resolved or {}).get("preprocessing")
            )
            reject_changes(stored, context.config, loaded.model.info, name)
        resolved = loaded.on(resolve_dataset(context, loaded.model))
        if not _began(run):
            run = _describe(owned, run, resolved)
        folder = _own_folder(owned, run)
        prepared = prepare(owned, resolved, folder, stack)
        former = units_to_retry(
            folder, committed_units(context.db, owned.lease.kind, run.id), retry
        )
        spec = replace(prepared.spec, retry=_retry(retry, former))
        owned.started = True
        engine = _engine(owned, replace(prepared, spec=spec))
        units = make_units(prepared.plan.total, prepared.plan.unit_rows)
        CommitLoop(owned, engine, former, run.revision + 1).run(units)
        if former:
            _tell_readers(owned)
        return finish_run(owned)


def _retry(codes: frozenset[str], former: Mapping[int, UnitRecord]) -> Retry | None:
    files = {unit_id: record.file for unit_id, record in former.items()}
    return Retry(codes, files) if files else None


def _tell_readers(owned: OwnedRun) -> None:
    """Note the rescored runs, whose metrics were computed from the former rows."""
    if owned.lease.kind != TEST_RUN:
        return
    readers = runs_that_read(owned.context.db, owned.lease.run_id)
    if readers:
        listed = ", ".join(str(reader) for reader in readers)
        owned.context.reporter.note(
            f"Rescored from the former rows: run {listed}. Rescore again to include the retried "
            f"images: snellen rescore {owned.lease.run_id}"
        )


def _own_folder(owned: OwnedRun, run: AnyRun) -> Path:
    """Return the folder of the run, created in ``output.dir`` where it has none yet."""
    if run.results_dir is not None:
        return Path(run.results_dir)
    root = output_root(owned.context.config.output.dir)
    folder = make_run_folder(root, run.id, run.name or "run")
    owned.update(results_dir=str(folder))
    return folder


def _describe(owned: OwnedRun, run: AnyRun, resolved: Resolved) -> AnyRun:
    """Store what the checkpoint and the dataset turned out to be, and return the row."""
    context, model, dataset = owned.context, resolved.model, resolved.dataset
    for note in dataset.notes:
        context.reporter.note(note)
    info = model.info
    columns = {
        "checkpoint_path": info.checkpoint_path,
        "task_type": str(info.task_type),
        "class_names": list(model.class_names),
        **context.kind.describe_dataset(dataset),
    }
    _, images = context.kind.describe_input(context.config)
    # A service names a batch of uploads by their number.
    if context.config.name is None and (run.name or "").endswith(f"-{images}"):
        columns["name"] = f"{info.architecture}-{images}"
    if model.job is None:
        class_map = dataset.class_map
        names = model.class_names if class_map is None else class_map.checkpoint_names
        job = register_checkpoint(context.db, info, names)
        columns["training_job_id"] = job.id
    else:
        complete_job(context.db, model.job, info)
    owned.update(**columns)
    if columns.get("training_job_id", run.training_job_id) != run.training_job_id:
        drop_unused_checkpoint(context.db, run.training_job_id)
    return owned.row()


def _engine(owned: OwnedRun, prepared: Prepared) -> Engine:
    plan, spec = prepared.plan, prepared.spec
    if plan.layout == "inline":
        made = owned.context.worker
        if made is not None:
            return InlineEngine(spec, plan, made(spec, owned.update))
        return InlineEngine(spec, plan, UnitWorker(spec, adapter=prepared.model.adapter))
    from snellen.pipelines.execution.ray.engine import RayEngine

    owned.context.reporter.status("Starting the workers, which load the checkpoint")
    return RayEngine(spec, plan, owned.context.reporter)
