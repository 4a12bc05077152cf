"""Set a run up: resolve its model and images, write its manifest, plan it, brief the workers."""

from __future__ import annotations

import os
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from snellen.adapters.errors import InputError
from snellen.pipelines.data.image_reader import ImageAccess
from snellen.pipelines.data.manifest import write_manifest
from snellen.pipelines.data.manifest_reader import MANIFEST_NAME
from snellen.pipelines.data.resolve import ResolvedDataset
from snellen.pipelines.execution.worker.spec import ScoringSpec
from snellen.pipelines.models.load import ResolvedModel, load_model, wrap_adapter
from snellen.pipelines.models.locate import ModelRequest, locate_model
from snellen.pipelines.planning.fingerprint import fingerprint
from snellen.pipelines.planning.plan import Available, Plan, PlanRequest, make_plan
from snellen.pipelines.runs.kinds import RunContext, Scoring
from snellen.pipelines.runs.ownership import OwnedRun
from snellen.store.ledger import committed_units, drop_units
from snellen.store.parquet.unit_files import sha256_path, verify_units
from snellen.store.views import AnyRun

if TYPE_CHECKING:
    from snellen.pipelines.execution.ray.session import RaySession


@dataclass(frozen=True, slots=True)
class Resolved:
    """The model and the images of a run, and the Ray session if it runs on Ray."""

    model: ResolvedModel
    dataset: ResolvedDataset
    session: RaySession | None


@dataclass(frozen=True, slots=True)
class Prepared:
    """A run whose units can be scored."""

    spec: ScoringSpec
    plan: Plan


def resolve_model(
    context: RunContext, stack: ExitStack, *, inspect_only: bool = False
) -> tuple[ResolvedModel, RaySession | None]:
    """Load the model while Ray starts; what is plainly missing is reported before that.

    Args:
        context: the run.
        stack: ends the Ray session.
        inspect_only: never load the model into this process, and register no training job.

    Raises:
        ConfigError, InputError: what is wrong with the model or the path of the images.
    """
    if context.adapter is not None:
        return wrap_adapter(context.adapter), None
    config = context.config
    request = replace(ModelRequest.of(config), register=not inspect_only)
    located = locate_model(request, context.db)
    context.kind.check_input(config)
    if config.run.engine == "inline":
        context.reporter.status("Loading checkpoint")
        return load_model(located, None if inspect_only else _inline_device(context)), None
    from snellen.pipelines.execution.ray.session import RaySession, ignored_cluster

    if (note := ignored_cluster(config.ray)) is not None:
        context.reporter.note(note)
    where = config.ray.address or "on this machine"
    context.reporter.status(f"Starting Ray ({where}) and loading checkpoint")
    session = stack.enter_context(RaySession(config.ray)).start()
    return load_model(located, None), session


def resolve_dataset(context: RunContext, model: ResolvedModel) -> ResolvedDataset:
    """Describe the images, and check that model, images and settings fit together.

    Raises:
        ConfigError, InputError: they do not.
    """
    dataset = context.kind.resolve(context.config, model)
    context.kind.check(context.config, model, dataset)
    return dataset


def plan_run(context: RunContext, resolved: Resolved, total: int, run: AnyRun | None) -> Plan:
    """Plan a run of ``total`` images; ``run`` is its row, of which a resume keeps the units.

    Raises:
        ConfigError: PLAN_UNSCHEDULABLE.
    """
    section = context.config.run
    if run is not None and run.resolved:
        # What makes the result stays as planned first; the rest follows this machine.
        kept = {key: run.resolved[key] for key in ("unit_rows", "batch_size")}
        section = section.model_copy(update=kept)
    return make_plan(
        PlanRequest(
            section,
            resolved.model.info,
            total,
            reads_images=resolved.model.reads_images,
            has_cuda=_has_cuda(context, resolved.model),
        ),
        _available(context, resolved.session),
    )


def prepare(owned: OwnedRun, resolved: Resolved, folder: Path) -> Prepared:
    """Write or check the manifest, plan, and store what makes the run's results.

    Args:
        owned: the run.
        resolved: its model and images.
        folder: its folder.

    Raises:
        ConfigError, InputError: the run cannot be started like this.
    """
    context, model, dataset = owned.context, resolved.model, resolved.dataset
    config, run, manifest = context.config, owned.row(), folder / MANIFEST_NAME
    total = _manifest(owned, run, dataset, manifest)
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
        },
        config=config.model_dump(mode="json"),
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
    return Prepared(spec, plan)


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


def _inline_device(context: RunContext) -> str:
    from snellen.adapters.runtime.threads import has_cuda

    return "cuda" if context.config.run.device != "cpu" and has_cuda() else "cpu"


def _has_cuda(context: RunContext, model: ResolvedModel) -> bool:
    """Return True where the model runs on a GPU of this process (inline engine)."""
    if context.config.run.engine != "inline" or not model.reads_images:
        return False
    if model.adapter is None:
        return _inline_device(context) == "cuda"
    try:
        return model.adapter.engine.device.type == "cuda"
    except InputError:
        return False  # an adapter that runs nothing on a device, such as noop


def _available(context: RunContext, session: RaySession | None) -> Available:
    if session is None:
        return Available(cpus=len(os.sched_getaffinity(0)), gpus=0, memory=0)
    context.reporter.status("Waiting for Ray")
    return session.ready()


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
