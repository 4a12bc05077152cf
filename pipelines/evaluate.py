"""The test runner: from a configuration to a finished test run, and back to it after a stop."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adapters.types import ConfigError, InputError, RunError, RunInterrupted, SnellenError
from pipelines.config import RunConfig
from pipelines.config_load import apply_overrides, build_config
from pipelines.dataset import ResolvedDataset, resolve_dataset
from pipelines.drive import Drive
from pipelines.engines.base import Engine
from pipelines.engines.inline import InlineEngine
from pipelines.engines.ray_session import RaySession
from pipelines.fingerprint import fingerprint, refuse_changes, snellen_version
from pipelines.finish import TEST_RUN, finish_run, results_folder
from pipelines.heartbeat import Heartbeat
from pipelines.manifest import MANIFEST_NAME, write_manifest
from pipelines.model import ResolvedModel, job_of, resolve_model
from pipelines.output import OutputLock, make_run_folder, output_root
from pipelines.plan import Available, Plan, make_plan
from pipelines.reporter import Reporter
from pipelines.stages.spec import ScoringSpec
from pipelines.stages.worker import UnitWorker
from pipelines.storage_probe import probe_nodes
from pipelines.units import make_units
from store.database import Database
from store.files import sha256_path, verify_units
from store.leases import Lease, acquire, release
from store.ledger import committed_units, drop_units
from store.runs import create_test_run, delete_run, get_test_run, update_run
from store.views import RunView

if TYPE_CHECKING:
    from adapters.base import Adapter


class TestRunner:
    """Evaluates a model on labelled images and stores a test run.

    Args:
        config: the whole configuration; or an adapter that is loaded already, which is then
            scored in this process (``engine`` inline) on the ``dataset_path`` of ``run_test``;
            ``resume`` needs neither.
        engine: overrides ``run.engine``.
        reporter: told about progress.
    """

    __test__ = False  # not a test case, whatever its name looks like to pytest

    def __init__(
        self,
        config: RunConfig | Adapter | None = None,
        *,
        engine: str | None = None,
        database: str | None = None,
        reporter: Reporter | None = None,
    ) -> None:
        self._adapter: Adapter | None = None
        self._config: RunConfig | None = None
        if config is None or isinstance(config, RunConfig):
            self._config = config
        else:
            self._adapter = config
        self._engine = engine
        self._database = database
        self._reporter = reporter or Reporter()

    def run_test(self, dataset_path: str | Path | None = None, split: str | None = None) -> RunView:
        """Run the whole test and return the completed run.

        Args:
            dataset_path: overrides ``dataset.path``.
            split: overrides ``dataset.split``.

        Raises:
            ConfigError, InputError: nothing was started, nothing is left behind.
            RunError: the run was started and failed; it can be resumed.
            RunInterrupted: Ctrl-C; it can be resumed.
        """
        config = self._resolve_config(dataset_path, split)
        with ExitStack() as stack:
            db = _open(config, stack)
            return _Session(config, db, self._reporter, stack, self._adapter).start()

    def resume(self, reference: int | str, overrides: Sequence[str] = ()) -> RunView:
        """Go on with a run that did not end; a completed one is returned as it is.

        Args:
            reference: id, name or ``latest``.
            overrides: ``key=value`` words for settings that do not make the result.

        Raises:
            InputError: RUN_NOT_FOUND, RUN_BUSY, RESUME_CHANGED with every difference.
            RunError, RunInterrupted: as ``run_test``.
        """
        with ExitStack() as stack:
            db = Database.open(self._database, create=False)
            stack.callback(db.close)
            run = get_test_run(db, reference)
            if run.results_of is not None:
                raise InputError(
                    "RUN_IS_RESCORE", f"run {run.id} only re-reads run {run.results_of}: rescore."
                )
            config = _stored_config(run, overrides)
            return _Session(config, db, self._reporter, stack, None).resume(run)

    def _resolve_config(self, dataset_path: str | Path | None, split: str | None) -> RunConfig:
        if self._config is not None:
            data = self._config.model_dump(mode="json")
        else:
            if self._adapter is None or dataset_path is None:
                raise ConfigError(
                    "CONFIG_MISSING",
                    "run_test needs a configuration, or an adapter and a path.",
                )
            data = _config_of(self._adapter, str(dataset_path))
        for section, key, value in (
            ("dataset", "path", str(dataset_path) if dataset_path is not None else None),
            ("dataset", "split", split),
            ("run", "engine", self._engine),
        ):
            if value is not None:
                data[section][key] = value
        if self._database is not None:
            data["database"] = self._database
        return build_config(data)


@dataclass(frozen=True, slots=True)
class _Prepared:
    """A run that is ready to be driven."""

    lease: Lease
    spec: ScoringSpec
    plan: Plan


class _Session:
    """One attempt at one run. ``stack`` ends whatever it started, in reverse order."""

    def __init__(
        self,
        config: RunConfig,
        db: Database,
        reporter: Reporter,
        stack: ExitStack,
        adapter: Adapter | None,
    ) -> None:
        self._config = config
        self._db = db
        self._reporter = reporter
        self._stack = stack
        self._given = adapter
        self._ray: RaySession | None = None

    def start(self) -> RunView:
        """A new run."""
        self._start_ray()
        model = self._load_model()
        dataset = resolve_dataset(self._config, model.info, dataset_names=model.dataset_names)
        for note in (*dataset.info.notes, *dataset.class_map.notes):
            self._reporter.note(note)
        root = output_root(self._config.output.dir)
        lock = self._lock(root)
        run_id = self._create_row(model, dataset)
        lease = acquire(self._db, TEST_RUN, run_id)
        folder: Path | None = None
        try:
            folder = self._folder(lease, root)
        except BaseException:
            self._forget(lease, folder)
            raise
        return self._held(lease, lock, model, dataset, folder, fresh=True)

    def resume(self, run: RunView) -> RunView:
        """Go on with ``run``, or check that it is whole."""
        if run.status == "completed" and not _damaged(self._db, run):
            self._reporter.note(f"run {run.id} is completed already; its files are as committed")
            return run
        lease = acquire(self._db, TEST_RUN, run.id, reopen=True)
        try:
            self._start_ray()
            model = self._load_model()
            before = build_config(run.config)
            refuse_changes(before, self._config, run.fingerprint or {}, model.info, f"run {run.id}")
            dataset = resolve_dataset(self._config, model.info, dataset_names=model.dataset_names)
            root = output_root(self._config.output.dir)
            lock = self._lock(root)
            folder = Path(run.results_dir) if run.results_dir else self._folder(lease, root)
        except BaseException:
            release(self._db, lease, status=_resumable(run.status), error_message=run.error_message)
            raise
        return self._held(lease, lock, model, dataset, folder, fresh=False)

    def _held(
        self,
        lease: Lease,
        lock: OutputLock | None,
        model: ResolvedModel,
        dataset: ResolvedDataset,
        folder: Path,
        *,
        fresh: bool,
    ) -> RunView:
        """Everything that happens while this process owns the run."""
        started = False
        try:
            with Heartbeat(self._db, lease, lock) as heart:
                prepared = self._prepare(lease, model, dataset, folder)
                started = True
                self._drive(prepared, heart, model)
                return finish_run(self._db, lease, self._config, self._reporter)
        except KeyboardInterrupt:
            release(self._db, lease, status="interrupted", error_message="interrupted")
            raise self._interrupted(lease) from None
        except SnellenError as error:
            if fresh and not started and not isinstance(error, RunError):
                # Wrong input found while the manifest was made: there is nothing to resume.
                self._forget(lease, folder)
            else:
                release(self._db, lease, status="failed", error_message=error.message)
            raise
        except BaseException as error:
            release(
                self._db, lease, status="failed", error_message=f"{type(error).__name__}: {error}"
            )
            raise

    def _prepare(
        self, lease: Lease, model: ResolvedModel, dataset: ResolvedDataset, folder: Path
    ) -> _Prepared:
        run = get_test_run(self._db, lease.run_id)
        total = self._manifest(lease, run, dataset, folder)
        plan = self._plan(model, total, run.resolved)
        for reason in plan.reasons:
            self._reporter.note(reason)
        update_run(
            self._db,
            lease,
            resolved=plan.to_json(),
            config=self._config.model_dump(mode="json"),
            fingerprint=fingerprint(
                self._config,
                model.info,
                manifest_hash=sha256_path(folder / MANIFEST_NAME),
                unit_rows=plan.unit_rows,
                batch_size=plan.batch_size,
            ),
        )
        self._drop_damaged(lease, run)
        spec = ScoringSpec(
            adapter=model.spec,
            info=model.info,
            class_map=dataset.class_map,
            results_dir=folder,
            manifest=folder / MANIFEST_NAME,
            root=dataset.info.root,
            batch_size=plan.batch_size,
            device=_worker_device(plan, self._config.run.device),
            follow_links=self._config.dataset.follow_links,
        )
        if plan.layout != "inline":
            probe_nodes(spec)
        return _Prepared(lease, spec, plan)

    def _manifest(self, lease: Lease, run: RunView, dataset: ResolvedDataset, folder: Path) -> int:
        """Write the run's manifest, or check the one that it has; give the number of images."""
        path = folder / MANIFEST_NAME
        stored = (run.fingerprint or {}).get("manifest_hash")
        if stored is not None:
            if not path.is_file() or sha256_path(path) != stored:
                raise InputError(
                    "MANIFEST_CHANGED",
                    f"'{path}' is missing or not the manifest that run {run.id} was planned with; "
                    "start a new run.",
                )
            return int(run.total_images or 0)
        self._reporter.status(f"listing the images of {self._config.dataset.path}")
        summary = write_manifest(
            dataset.source,
            dataset.info,
            path,
            leave_out=dataset.class_map.left_out(),
            limit=self._config.dataset.limit,
            progress=lambda rows: self._reporter.status(f"listing the images: {rows:,} so far"),
        )
        if summary.left_out:
            self._reporter.note(f"{summary.left_out:,} images left out by model.class_map")
        update_run(self._db, lease, total_images=summary.rows)
        return summary.rows

    def _plan(self, model: ResolvedModel, total: int, resolved: dict[str, Any] | None) -> Plan:
        run = self._config.run
        if resolved:
            # What makes the result stays as it was planned first; the rest follows this machine.
            fixed = {key: resolved[key] for key in ("unit_rows", "batch_size")}
            run = run.model_copy(update=fixed)
        return make_plan(
            run,
            model.info,
            total,
            self._available(),
            reads_images=model.adapter.reads_images,
            has_cuda=self._device() != "cpu",
        )

    def _drive(self, prepared: _Prepared, heart: Heartbeat, model: ResolvedModel) -> None:
        plan, spec = prepared.plan, prepared.spec
        engine: Engine
        if plan.layout == "inline":
            engine = InlineEngine(spec, plan, UnitWorker(spec, adapter=model.adapter))
        else:
            from pipelines.engines.ray_engine import RayEngine

            engine = RayEngine(spec, plan)
            self._reporter.status("starting the workers, which load torch and the checkpoint")
        Drive(
            self._db, prepared.lease, engine, self._reporter, heart, self._config.run.max_failed
        ).run(make_units(plan.total, plan.unit_rows))

    def _start_ray(self) -> None:
        if self._config.run.engine == "ray":
            where = self._config.ray.address or "on this machine"
            self._reporter.status(f"starting Ray ({where}) and loading the checkpoint")
            self._ray = self._stack.enter_context(RaySession(self._config.ray)).start()
        else:
            self._reporter.status("loading the checkpoint")

    def _load_model(self) -> ResolvedModel:
        if self._given is not None:
            return ResolvedModel(self._given.spec, self._given, None, dataset_names=False)
        return resolve_model(self._config, self._db, device=self._device())

    def _device(self) -> str:
        """Where this process holds the model: beside Ray's workers only to look at it."""
        if self._config.run.engine == "ray" or self._config.run.device == "cpu":
            return "cpu"
        from adapters.runtime import has_cuda

        return "cuda" if has_cuda() else "cpu"

    def _available(self) -> Available:
        if self._ray is not None:
            self._reporter.status("waiting for Ray")
            return self._ray.ready()
        return inline_available()

    def _lock(self, root: Path) -> OutputLock | None:
        if self._config.output.dir == "auto":
            return None
        lock = OutputLock(root).acquire(f"run '{self._config.name or 'unnamed'}'")
        self._stack.callback(lock.release)
        return lock

    def _create_row(self, model: ResolvedModel, dataset: ResolvedDataset) -> int:
        info = model.info
        names = dataset.class_map.names
        job = job_of(self._db, model, names)
        default = f"{info.architecture}-{Path(self._config.dataset.path).name}"
        return create_test_run(
            self._db,
            training_job_id=job.id,
            name=self._config.name or default,
            checkpoint_path=info.checkpoint_path,
            dataset_path=str(Path(self._config.dataset.path).expanduser().absolute()),
            dataset_split=dataset.info.split,
            task_type=str(info.task_type),
            status="pending",
            class_names=list(names),
            class_map={**dataset.class_map.to_json(), "class_order": dataset.info.class_order},
            config=self._config.model_dump(mode="json"),
            fingerprint=fingerprint(
                self._config, info, manifest_hash=None, unit_rows=None, batch_size=None
            ),
            total_images=0,
            snellen_version=snellen_version(),
        )

    def _folder(self, lease: Lease, root: Path) -> Path:
        run = get_test_run(self._db, lease.run_id)
        folder = make_run_folder(root, run.id, run.name or "run")
        update_run(self._db, lease, results_dir=str(folder))
        return folder

    def _drop_damaged(self, lease: Lease, run: RunView) -> None:
        records = committed_units(self._db, TEST_RUN, run.id)
        if not records:
            return
        self._reporter.status(f"checking {len(records)} committed files")
        problems = verify_units(results_folder(run), records)
        if problems:
            listed = ", ".join(f"{p.file} ({p.problem})" for p in problems[:5])
            self._reporter.note(f"{len(problems)} units will be scored again: {listed}")
            drop_units(self._db, lease, [problem.unit_id for problem in problems])

    def _forget(self, lease: Lease, folder: Path | None) -> None:
        """Leave nothing behind of a run that could not be started."""
        if release(self._db, lease, status="failed"):
            delete_run(self._db, lease.run_id)
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)

    def _interrupted(self, lease: Lease) -> RunInterrupted:
        records = committed_units(self._db, TEST_RUN, lease.run_id)
        done = sum(record.rows for record in records)
        total = get_test_run(self._db, lease.run_id).total_images or 0
        return RunInterrupted(
            "INTERRUPTED",
            f"run {lease.run_id} was interrupted; {done:,} of {total:,} images are committed. "
            f"Go on with: snellen resume {lease.run_id}",
        )


def _worker_device(plan: Plan, configured: str) -> str | None:
    """What workers load the model on; where nobody said `cuda`, a GPU actor takes what it has."""
    return None if plan.layout == "gpu" and configured == "auto" else plan.device


def inline_available() -> Available:
    """What the inline engine may use: the CPUs that this process may run on."""
    return Available(cpus=len(os.sched_getaffinity(0)), gpus=0, memory=0)


def _damaged(db: Database, run: RunView) -> bool:
    return bool(verify_units(results_folder(run), committed_units(db, TEST_RUN, run.id)))


def _open(config: RunConfig, stack: ExitStack) -> Database:
    db = Database.open(config.database)
    stack.callback(db.close)
    return db


def _resumable(status: str) -> str:
    return status if status in {"failed", "cancelled"} else "interrupted"


def _stored_config(run: RunView, overrides: Sequence[str]) -> RunConfig:
    return build_config(apply_overrides(dict(run.config or {}), overrides), where=f"run {run.id}")


def _config_of(adapter: Adapter, dataset_path: str) -> dict[str, Any]:
    """The configuration that describes an adapter that somebody made by hand."""
    spec = adapter.spec
    model: dict[str, Any] = {
        "adapter": spec.adapter,
        "checkpoint": spec.checkpoint,
        "architecture": spec.architecture,
        "options": dict(spec.options),
    }
    if spec.class_names:
        model["class_names"] = list(spec.class_names)
    return {
        "model": model,
        "dataset": {"path": dataset_path},
        "preprocess": dict(spec.preprocess),
        "run": {"engine": "inline", "precision": spec.precision},
    }
