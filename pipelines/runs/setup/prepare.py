"""Prepare a run: write its manifest, plan it, and brief the workers."""

from __future__ import annotations

import os
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from snellen.adapters.errors import InputError
from snellen.pipelines.config.stored import stored_config
from snellen.pipelines.data.image_reader import ImageAccess
from snellen.pipelines.data.manifest import write_manifest
from snellen.pipelines.data.manifest_reader import MANIFEST_NAME
from snellen.pipelines.data.resolve import ResolvedDataset
from snellen.pipelines.execution.worker.spec import ScoringSpec
from snellen.pipelines.models.load import ResolvedModel
from snellen.pipelines.planning.fingerprint import fingerprint
from snellen.pipelines.planning.plan import Available, Plan, PlanRequest, make_plan
from snellen.pipelines.runs.kinds import RunContext, Scoring
from snellen.pipelines.runs.ownership import OwnedRun
from snellen.pipelines.runs.setup.run_parts import Resolved, choose, inline_device
from snellen.store.ledger import committed_units, drop_units
from snellen.store.parquet.unit_files import sha256_path, verify_units
from snellen.store.views import AnyRun

if TYPE_CHECKING:
    pass


@dataclass(frozen=True, slots=True)
class Prepared:
    """A run whose units can be scored."""

    spec: ScoringSpec
    plan: Plan
    model: ResolvedModel


def plan_run(context: RunContext, resolved: Resolved, total: int, run: AnyRun | None) -> Plan:
    """Plan a run of ``total`` images; ``run`` is its row, of which a resume keeps the units.

    Raises:
        ConfigError: PLAN_UNSCHEDULABLE.
    """
    assert resolved.engine is not None, "the engine is chosen before a run is planned"
    section = context.config.run.model_copy(update={"engine": resolved.engine})
    if run is not None and run.resolved:
        # What makes the result stays as planned first; the rest follows this machine.
        kept = {key: run.resolved[key] for key in ("unit_rows", "batch_size")}
        section = section.model_copy(update=kept)
    plan = make_plan(
        PlanRequest(
            section,
            resolved.model.info,
            total,
            reads_images=resolved.model.reads_images,
            has_cuda=_has_cuda(context, resolved),
        ),
        _available(context, resolved),
    )
    return replace(plan, reasons=(resolved.why, *plan.reasons)) if resolved.why else plan


def prepare(owned: OwnedRun, resolved: Resolved, folder: Path, stack: ExitStack) -> Prepared:
    """Write or check the manifest, plan, and store what makes the run's results.

    Args:
        owned: the run.
        resolved: its model and images.
        folder: its folder.
        stack: ends the Ray session.

    Raises:
        ConfigError, InputError: the run cannot be started like this.
    """
    context, dataset = owned.context, resolved.dataset
    config, run, manifest = context.config, owned.row(), folder / MANIFEST_NAME
    total = _manifest(owned, run, dataset, manifest)
    resolved = choose(context, resolved, total, stack)
    model = resolved.model
    plan = plan_run(context, resolved, total, run)
    for reason in plan.reasons:
        context.reporter.note(reason)
    scoring = context.kind.scoring(config, model, run, total)
    operating = scoring.operating
    owned.update(
        resolved={
            **plan.to_json(),
            "operating": operating and asdict(operating),
            "weights": model.info.weights,
            "preprocessing": model.info.preprocess,
            "input_shape": list(model.info.input_shape),
            "max_detections": model.info.max_detections,
            "keypoints": model.info.keypoints,
            "epoch": model.info.epoch,
        },
        config=stored_config(config),
        fingerprint=fingerprint(config, model.info, sha256_path(manifest), plan),
    )
    _drop_damaged(owned, folder)
    spec = ScoringSpec(
        adapter=model.spec,
        info=model.info,
        class_map=dataset.class_map,
        results_dir=folder,
        manifest=manifest,
        access=ImageAccess.of(config.dataset, dataset.info.root, config.images),
        batch_size=plan.batch_size,
        device=_worker_device(plan, config.run.device),
        torch_threads=_torch_threads(plan, scoring),
        classes=dataset.info.classes or (),
        operating=operating,
        pictures=scoring.pictures,
    )
    if plan.layout != "inline":
        from snellen.pipelines.execution.ray.shared_storage import probe_nodes

        probe_nodes(spec)
    return Prepared(spec, plan, model)


def _manifest(owned: OwnedRun, run: AnyRun, dataset: ResolvedDataset, path: Path) -> int:
    """Write the run's manifest, or check the one that it has; return the number of images."""
    context = owned.context
    stored = (run.fingerprint or {}).get("manifest_hash")
    if stored is not None:
        if not path.is_file() or sha256_path(path) != stored:
            raise InputError(
                "MANIFEST_CHANGED",
                f"'{path}' is missing, or not the manifest that {context.kind.words.noun} "
                f"{run.id} was planned with. Fix: start a new one.",
            )
        return int(run.total_images or 0)
    reporter = context.reporter
    reporter.status(f"Listing images of {dataset.source.config.path}")
    summary = write_manifest(
        dataset.source,
        dataset.info,
        path,
        exclude=dataset.excluded,
        progress=lambda rows: reporter.status(f"Listing images: {rows:,} so far"),
    )
    if summary.excluded:
        reporter.note(f"{summary.excluded:,} images excluded by model.class_map")
    for warning in summary.report["warnings"]:
        reporter.note(f"Dataset: {warning}")
    owned.update(total_images=summary.rows, dataset_report=summary.report)
    return summary.rows


def _has_cuda(context: RunContext, resolved: Resolved) -> bool:
    """Return True where the model runs on a GPU of this process (inline engine)."""
    model = resolved.model
    if resolved.engine != "inline" or not model.reads_images:
        return False
    if model.adapter is None:
        return inline_device(context) == "cuda"
    try:
        return model.adapter.engine.device.type == "cuda"
    except InputError:
        return False  # an adapter that runs nothing on a device, such as noop


def _available(context: RunContext, resolved: Resolved) -> Available:
    """Return the free resources: of Ray, or of this machine where no Ray is started."""
    if resolved.session is not None:
        context.reporter.status("Waiting for Ray")
        return resolved.session.ready()
    cpus = len(os.sched_getaffinity(0))
    if resolved.engine == "inline":
        return Available(cpus=cpus, gpus=0, memory=0)
    from snellen.adapters.runtime.threads import count_cuda

    ray = context.config.ray
    return Available(
        cpus=ray.num_cpus or cpus,
        gpus=count_cuda() if ray.num_gpus is None else ray.num_gpus,
        memory=psutil.virtual_memory().available,
    )


def _worker_device(plan: Plan, configured: str) -> str | None:
    """Return the device that workers load the model on; None lets a GPU actor take its GPU."""
    return None if plan.layout == "gpu" and configured == "auto" else plan.device


def _torch_threads(plan: Plan, scoring: Scoring) -> int:
    """Return 1, because units run side by side; a unit by itself may take every CPU."""
    alone = scoring.all_threads and plan.layout == "inline" and plan.units == 1
    return len(os.sched_getaffinity(0)) if alone else 1


def _drop_damaged(owned: OwnedRun, folder: Path) -> None:
    """Remove units whose file is missing or changed from the ledger: they are scored again."""
    context, lease = owned.context, owned.lease
    records = committed_units(context.db, lease.kind, lease.run_id)
    if not records:
        return
    context.reporter.status(f"Checking {len(records)} committed files")
    problems = verify_units(folder, records)
    if problems:
        listed = ", ".join(f"{p.file} ({p.problem})" for p in problems[:5])
        context.reporter.note(f"{len(problems)} units will be scored again: {listed}")
        owned.damaged = True
        drop_units(context.db, lease, [problem.unit_id for problem in problems])
