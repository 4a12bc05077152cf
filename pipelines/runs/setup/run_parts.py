"""The parts of a run: its model, its images, and its engine."""

from __future__ import annotations

import os
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from snellen.pipelines.data.resolve import ResolvedDataset
from snellen.pipelines.models.load import ResolvedModel, load_model, with_preset, wrap_adapter
from snellen.pipelines.models.locate import ModelRequest, locate_model
from snellen.pipelines.planning.engine_choice import EngineName, Work, choose_engine, needs_ray
from snellen.pipelines.runs.kinds import RunContext
from snellen.pipelines.tasks.registry import task_of

if TYPE_CHECKING:
    from snellen.pipelines.execution.ray.session import RaySession


@dataclass(frozen=True, slots=True)
class Resolved:
    """The model and the images of a run, and its engine.

    Attributes:
        model: the model; loaded in this process for the inline engine.
        dataset: the images, not listed yet.
        engine: None until the number of images decides.
        session: Ray, if the run is executed on it.
        why: the reason for the choice of an engine; empty without a choice.
    """

    model: ResolvedModel
    dataset: ResolvedDataset
    engine: EngineName | None
    session: RaySession | None = None
    why: str = ""


@dataclass(frozen=True, slots=True)
class Loaded:
    """The model of a run and its engine, as far as it is known without the number of images."""

    model: ResolvedModel
    engine: EngineName | None
    session: RaySession | None = None
    why: str = ""

    def on(self, dataset: ResolvedDataset) -> Resolved:
        """Return the model with the images."""
        return Resolved(self.model, dataset, self.engine, self.session, self.why)


def resolve_model(context: RunContext, stack: ExitStack, *, inspect_only: bool = False) -> Loaded:
    """Load the model while Ray starts; what is plainly missing is reported before that.

    Args:
        context: the run.
        stack: ends the Ray session.
        inspect_only: never load the model into this process, register no training job, and start
            no Ray of its own.

    Raises:
        ConfigError, InputError: what is wrong with the model or the path of the images.
        RunError: RAY_START, the cluster cannot be joined.
    """
    if context.adapter is not None:
        adapter = context.adapter
        if task_of(adapter.info.task_type).has_operating_point:
            adapter = with_preset(adapter, context.config.preset)
        return Loaded(wrap_adapter(adapter, context.job), "inline")
    config = context.config
    request = replace(ModelRequest.of(config), register=not inspect_only)
    located = locate_model(request, context.db)
    context.kind.check_input(config)
    engine, why = _known_engine(context)
    if engine != "ray":
        context.reporter.status("Loading checkpoint")
        device = None if inspect_only else inline_device(context)
        return Loaded(load_model(located, device), engine)
    if inspect_only and config.ray.address is None:
        context.reporter.status("Loading checkpoint")
        return Loaded(load_model(located, None), engine, why=why)
    session = _start_ray(context, stack, " and loading checkpoint")
    model = load_model(located, None)
    session.check()  # before a large dataset is listed
    return Loaded(model, engine, session, why)


def _known_engine(context: RunContext) -> tuple[EngineName | None, str]:
    """Return the engine that the configuration or the machine decides; None if the work does."""
    config = context.config
    if config.run.engine != "auto":
        return config.run.engine, ""
    has_gpu = config.run.device != "cpu" and inline_device(context) == "cuda"
    why = needs_ray(config.ray, has_gpu)
    return (None, "") if why is None else ("ray", why)


def _start_ray(context: RunContext, stack: ExitStack, also: str = "") -> RaySession:
    from snellen.pipelines.execution.ray.cluster import ignored_cluster
    from snellen.pipelines.execution.ray.session import RaySession

    ray = context.config.ray
    if ray.address is None and context.ray_address is not None:
        ray = ray.model_copy(update={"address": context.ray_address})
    if (note := ignored_cluster(ray)) is not None:
        context.reporter.note(note)
    where = ray.address or "on this machine"
    context.reporter.status(f"Starting Ray ({where}){also}")
    return stack.enter_context(RaySession(ray)).start()


def choose(
    context: RunContext, resolved: Resolved, total: int, stack: ExitStack | None
) -> Resolved:
    """Choose the engine by the number of images, where nothing else decided it.

    Args:
        context: the run.
        resolved: its model and images.
        total: number of images.
        stack: ends the Ray session; None starts no Ray.
    """
    if resolved.engine is not None:
        return resolved
    model = resolved.model
    work = Work(model.info, total, len(os.sched_getaffinity(0)), model.reads_images)
    engine, why = choose_engine(work)
    if engine == "inline":
        return replace(resolved, engine=engine, why=why)
    # The workers load the model themselves.
    session = None if stack is None else _start_ray(context, stack)
    return replace(
        resolved, engine=engine, why=why, session=session, model=replace(model, adapter=None)
    )


def resolve_dataset(context: RunContext, model: ResolvedModel) -> ResolvedDataset:
    """Describe the images, and check that model, images and settings fit together.

    Raises:
        ConfigError, InputError: they do not.
    """
    dataset = context.kind.resolve(context.config, model)
    context.kind.check(context.config, model, dataset)
    return dataset


def inline_device(context: RunContext) -> str:
    """Return the device of the inline engine: ``cuda`` where this process may use a GPU."""
    from snellen.adapters.runtime.threads import has_cuda

    return "cuda" if context.config.run.device != "cpu" and has_cuda() else "cpu"
