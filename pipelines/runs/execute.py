"""One attempt at one run: from the lease to the finished row, or to a clean stop."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Generic

from snellen.adapters.errors import RunError, SnellenError
from snellen.pipelines.config.loader import build_as
from snellen.pipelines.data.resolve import ResolvedDataset
from snellen.pipelines.execution.engine import Engine
from snellen.pipelines.execution.inline import InlineEngine
from snellen.pipelines.execution.ray.session import RaySession
from snellen.pipelines.execution.worker.unit_worker import UnitWorker
from snellen.pipelines.models.load import ResolvedModel, load_model, loaded_model, locate_model
from snellen.pipelines.planning.plan import Available
from snellen.pipelines.planning.units import make_units
from snellen.pipelines.progress import Reporter
from snellen.pipelines.runs.commit_loop import Drive
from snellen.pipelines.runs.fingerprint import refuse_changes
from snellen.pipelines.runs.finishing import results_folder
from snellen.pipelines.runs.heartbeat import Heartbeat
from snellen.pipelines.runs.kinds import Config, RunKind, View
from snellen.pipelines.runs.run_folder import OutputLock, output_root
from snellen.pipelines.runs.setup import Prepared, inline_available, prepare
from snellen.pipelines.runs.submit import forget, interrupted, make_folder
from snellen.pipelines.runs.wording import words_of
from snellen.store.leases import Lease, acquire, release
from snellen.store.ledger import committed_units
from snellen.store.parquet.unit_files import verify_units
from snellen.store.sql.database import Database
from snellen.store.views import AnyRun

if TYPE_CHECKING:
    from snellen.adapters.base import Adapter


class Attempt(Generic[Config, View]):
    """Owns a run or job while it lasts. ``stack`` ends whatever it started, in reverse order."""

    def __init__(
        self,
        kind: RunKind[Config, View],
        config: Config,
        db: Database,
        reporter: Reporter,
        stack: ExitStack,
        adapter: Adapter | None,
    ) -> None:
        self._kind: RunKind[Config, View] = kind
        self._config: Config = config
        self._db = db
        self._reporter = reporter
        self._stack = stack
        self._given = adapter
        self._ray: RaySession | None = None

    def start(self) -> View:
        """A new run."""
        model = self._load_model()
        dataset = self._kind.resolve(self._config, model)
        for note in dataset.notes:
            self._reporter.note(note)
        root = output_root(self._config.output.dir)
        lock = self._lock(root)
        run_id = self._kind.create_row(self._db, self._config, model, dataset)
        lease = acquire(self._db, self._kind.name, run_id)
        folder: Path | None = None
        try:
            folder = make_folder(self._db, lease, root, self._kind.get(self._db, run_id))
        except BaseException:
            forget(self._db, lease, folder)
            raise
        return self._held(lease, lock, model, dataset, folder, fresh=True)

    def resume(self, run: View) -> View:
        """Go on with ``run``, or check that it is whole."""
        noun = words_of(self._kind.name).noun
        if run.status == "completed" and not _damaged(self._db, self._kind.name, run):
            self._reporter.note(f"{noun} {run.id} is completed already; its files are as committed")
            return run
        lease = acquire(self._db, self._kind.name, run.id, reopen=True)
        try:
            model = self._load_model()
            before = build_as(self._kind.config, run.config)
            refuse_changes(
                before, self._config, run.fingerprint or {}, model.info, f"{noun} {run.id}"
            )
            dataset = self._kind.resolve(self._config, model)
            root = output_root(self._config.output.dir)
            lock = self._lock(root)
            known = run.results_dir
            folder = Path(known) if known else make_folder(self._db, lease, root, run)
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
    ) -> View:
        """Everything that happens while this process owns the run."""
        started = False
        try:
            with Heartbeat(self._db, lease, lock) as heart:
                prepared = self._prepare(lease, model, dataset, folder)
                started = True
                self._drive(prepared, heart, model)
                return self._kind.finish(self._db, lease, self._config, self._reporter)
        except KeyboardInterrupt:
            release(self._db, lease, status="interrupted", error_message="interrupted")
            raise interrupted(self._db, lease, self._kind.get(self._db, lease.run_id)) from None
        except SnellenError as error:
            if fresh and not started and not isinstance(error, RunError):
                # Wrong input found while the manifest was made: there is nothing to resume.
                forget(self._db, lease, folder)
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
    ) -> Prepared:
        return prepare(
            self._db,
            lease,
            self._config,
            kind=self._kind,
            model=model,
            dataset=dataset,
            folder=folder,
            available=self._available,
            reporter=self._reporter,
        )

    def _drive(self, prepared: Prepared, heart: Heartbeat, model: ResolvedModel) -> None:
        plan, spec = prepared.plan, prepared.spec
        engine: Engine
        if plan.layout == "inline":
            engine = InlineEngine(spec, plan, UnitWorker(spec, adapter=model.adapter))
        else:
            from snellen.pipelines.execution.ray.engine import RayEngine

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
        """Load the model while Ray starts; what is plainly missing is said before that."""
        if self._given is not None:
            return loaded_model(self._given, self._given.spec)
        located = locate_model(self._config, self._db)
        self._kind.check_input(self._config)
        self._start_ray()
        return load_model(located, self._config, self._device())

    def _device(self) -> str | None:
        """Where this process runs the model; None where Ray's workers do."""
        if self._config.run.engine == "ray":
            return None
        from snellen.adapters.runtime.threads import has_cuda

        return "cuda" if self._config.run.device != "cpu" and has_cuda() else "cpu"

    def _available(self) -> Available:
        if self._ray is not None:
            self._reporter.status("waiting for Ray")
            return self._ray.ready()
        return inline_available()

    def _lock(self, root: Path) -> OutputLock | None:
        if self._config.output.dir == "auto":
            return None
        lock = OutputLock(root).acquire(
            f"{words_of(self._kind.name).noun} '{self._config.name or 'unnamed'}'"
        )
        self._stack.callback(lock.release)
        return lock


def _damaged(db: Database, kind: str, run: AnyRun) -> bool:
    return bool(verify_units(results_folder(run), committed_units(db, kind, run.id)))


def _resumable(status: str) -> str:
    return status if status in {"failed", "cancelled"} else "interrupted"
