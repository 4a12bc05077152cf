"""Make a run ready to be driven: manifest, plan, fingerprint, and what workers are told."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from snellen.adapters.errors import InputError
from snellen.pipelines.config.predict import AnyConfig
from snellen.pipelines.config.sections import RunSection
from snellen.pipelines.data.manifest import MANIFEST_NAME, write_manifest
from snellen.pipelines.data.resolve import ResolvedDataset
from snellen.pipelines.execution.ray.shared_storage import probe_nodes
from snellen.pipelines.execution.worker.spec import ScoringSpec
from snellen.pipelines.models.load import ResolvedModel
from snellen.pipelines.planning.plan import Available, Plan, make_plan
from snellen.pipelines.progress import Reporter
from snellen.pipelines.runs.fingerprint import fingerprint
from snellen.pipelines.runs.kinds import Config, RunKind, Scoring, View
from snellen.pipelines.runs.wording import words_of
from snellen.pipelines.storage.address import frozen_options
from snellen.store.leases import Lease
from snellen.store.ledger import committed_units, drop_units
from snellen.store.parquet.unit_files import sha256_path, verify_units
from snellen.store.runs import update_run
from snellen.store.sql.database import Database
from snellen.store.views import AnyRun

if TYPE_CHECKING:
    from snellen.adapters.base import Adapter


@dataclass(frozen=True, slots=True)
class Prepared:
    """A run that is ready to be driven."""

    lease: Lease
    spec: ScoringSpec
    plan: Plan


def prepare(
    db: Database,
    lease: Lease,
    config: Config,
    *,
    kind: RunKind[Config, View],
    model: ResolvedModel,
    dataset: ResolvedDataset,
    folder: Path,
    available: Callable[[], Available],
    reporter: Reporter,
) -> Prepared:
    """Write or check the manifest, plan, and store what makes the run's results.

    Args:
        db, lease, config, kind: the run.
        model, dataset: what looks at what.
        folder: the run's folder.
        available: waits for the engine and says what is free in it.
        reporter: told what is done.

    Raises:
        ConfigError, InputError: the run cannot be started so.
    """
    run = kind.get(db, lease.run_id)
    kind.check(config, model, dataset)
    manifest = folder / MANIFEST_NAME
    total = _manifest(
        db, lease, run, config.dataset.limit, dataset=dataset, path=manifest, reporter=reporter
    )
    plan = _plan(config, model, total, run.resolved, available())
    for reason in plan.reasons:
        reporter.note(reason)
    scoring = kind.scoring(config, model, run, total)
    operating = scoring.operating
    update_run(
        db,
        lease,
        resolved={**plan.to_json(), "operating": operating and asdict(operating)},
        config=config.model_dump(mode="json"),
        fingerprint=fingerprint(
            config,
            model.info,
            manifest_hash=sha256_path(manifest),
            unit_rows=plan.unit_rows,
            batch_size=plan.batch_size,
        ),
    )
    _drop_damaged(db, lease, folder, reporter)
    spec = ScoringSpec(
        adapter=model.spec,
        info=model.info,
        class_map=dataset.class_map,
        results_dir=folder,
        manifest=manifest,
        root=dataset.info.root,
        batch_size=plan.batch_size,
        device=_worker_device(plan, config.run.device),
        torch_threads=_torch_threads(plan, scoring),
        follow_links=config.dataset.follow_links,
        storage=frozen_options(config.dataset.storage_options),
        classes=dataset.info.classes or (),
        operating=operating,
        pictures=scoring.pictures,
    )
    if plan.layout != "inline":
        probe_nodes(spec)
    return Prepared(lease, spec, plan)


def _manifest(
    db: Database,
    lease: Lease,
    run: AnyRun,
    limit: int | None,
    *,
    dataset: ResolvedDataset,
    path: Path,
    reporter: Reporter,
) -> int:
    """Write the run's manifest, or check the one that it has; give the number of images."""
    stored = (run.fingerprint or {}).get("manifest_hash")
    if stored is not None:
        if not path.is_file() or sha256_path(path) != stored:
            raise InputError(
                "MANIFEST_CHANGED",
                f"'{path}' is missing or not the manifest that {words_of(lease.kind).noun} "
                f"{run.id} was planned with; start a new one.",
            )
        return int(run.total_images or 0)
    reporter.status(f"listing the images of {dataset.source.config.path}")
    summary = write_manifest(
        dataset.source,
        dataset.info,
        path,
        leave_out=dataset.left_out,
        limit=limit,
        progress=lambda rows: reporter.status(f"listing the images: {rows:,} so far"),
    )
    if summary.left_out:
        reporter.note(f"{summary.left_out:,} images left out by model.class_map")
    update_run(db, lease, total_images=summary.rows)
    return summary.rows


def _plan(
    config: AnyConfig,
    model: ResolvedModel,
    total: int,
    resolved: dict[str, Any] | None,
    available: Available,
) -> Plan:
    run: RunSection = config.run
    if resolved:
        # What makes the result stays as it was planned first; the rest follows this machine.
        run = run.model_copy(update={key: resolved[key] for key in ("unit_rows", "batch_size")})
    return make_plan(
        run,
        model.info,
        total,
        available,
        reads_images=model.reads_images,
        has_cuda=_on_gpu(model.adapter),
    )


def _on_gpu(adapter: Adapter | None) -> bool:
    try:
        return adapter is not None and adapter.engine.device.type == "cuda"
    except InputError:
        return False  # an adapter that runs nothing on a device, such as noop


def _worker_device(plan: Plan, configured: str) -> str | None:
    """What workers load the model on; where nobody said `cuda`, a GPU actor takes what it has."""
    return None if plan.layout == "gpu" and configured == "auto" else plan.device


def _torch_threads(plan: Plan, scoring: Scoring) -> int:
    """One thread a forward pass, as units run side by side; a unit by itself may take all."""
    alone = scoring.all_threads and plan.layout == "inline" and plan.units == 1
    return len(os.sched_getaffinity(0)) if alone else 1


def inline_available() -> Available:
    """What the inline engine may use: the CPUs that this process may run on."""
    return Available(cpus=len(os.sched_getaffinity(0)), gpus=0, memory=0)


def _drop_damaged(db: Database, lease: Lease, folder: Path, reporter: Reporter) -> None:
    """Take units whose file is missing or changed out of the ledger: they are scored again."""
    records = committed_units(db, lease.kind, lease.run_id)
    if not records:
        return
    reporter.status(f"checking {len(records)} committed files")
    problems = verify_units(folder, records)
    if problems:
        listed = ", ".join(f"{p.file} ({p.problem})" for p in problems[:5])
        reporter.note(f"{len(problems)} units will be scored again: {listed}")
        drop_units(db, lease, [problem.unit_id for problem in problems])
