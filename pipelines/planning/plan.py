"""Choose units and resources, say why, and refuse what could never be scheduled.

``unit_rows`` and ``batch_size`` make the result (batches are cut inside a unit), so they follow
from the model, the number of images and the kind of device alone: the same on every machine
with that kind of device. Actors, threads and CPU shares do not, and follow what is available.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, Literal

from snellen.adapters.errors import ConfigError
from snellen.adapters.types import ModelInfo
from snellen.pipelines.config.sections import RunSection

Layout = Literal["inline", "cpu", "gpu"]

_UNIT_SECONDS = 2.0
_CPU_FLOPS_PER_SECOND = 2e10
_DECODE_SECONDS = 0.005
_MAX_UNIT_ROWS = 4096
_MIN_UNIT_ROWS = 16
_MIN_UNITS = 8
_DECODED_BYTES = 64 * 2**20
_ACTOR_BYTES = 800 * 2**20
_THREADS_PER_ACTOR = 2
_MIN_ACTOR_CPUS = 0.25


@dataclass(frozen=True, slots=True)
class Available:
    """What a run may use: free CPUs and GPUs, and the memory of the smallest node in bytes."""

    cpus: float
    gpus: int
    memory: int
    nodes: int = 1


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that was chosen; stored in the run's ``resolved`` column.

    Attributes:
        layout: ``inline`` (this process), ``cpu`` (all inside actors), ``gpu`` (CPU tasks
            decode and write, GPU actors infer).
        device: ``cpu`` or ``cuda``.
        total, unit_rows, batch_size: images, images a unit, images a forward pass.
        actors, threads: processes with a model; concurrent units in each.
        actor_cpus, actor_gpus: what one actor reserves in Ray.
        reasons: one line for each choice, for people.
    """

    layout: Layout
    device: str
    precision: str
    total: int
    unit_rows: int
    batch_size: int
    actors: int
    threads: int
    actor_cpus: float
    actor_gpus: float
    reasons: tuple[str, ...]

    @property
    def units(self) -> int:
        """Number of units."""
        return math.ceil(self.total / self.unit_rows)

    def to_json(self) -> dict[str, Any]:
        """What is stored with the run."""
        return {**asdict(self), "units": self.units, "reasons": list(self.reasons)}


@dataclass(frozen=True, slots=True)
class PlanRequest:
    """A run to plan.

    Attributes:
        config: the ``run`` section of the configuration.
        info: the loaded checkpoint.
        total: number of images in the manifest.
        reads_images: False for adapters that never look at pixels.
        has_cuda: the model runs on a GPU of this process (inline engine).
    """

    config: RunSection
    info: ModelInfo
    total: int
    reads_images: bool = True
    has_cuda: bool = False


def make_plan(request: PlanRequest, available: Available) -> Plan:
    """Resolve every ``auto`` of the section ``run``.

    Args:
        request: the run.
        available: what is free now, not what exists.

    Raises:
        ConfigError: PLAN_UNSCHEDULABLE, with what is free and what would fit.
    """
    config, info, total = request.config, request.info, request.total
    layout, device, why = _choose_layout(config, available, request.has_cuda)
    batch_size = _batch_size(config, info, device)
    unit_rows = _unit_rows(config, info, total, device, request.reads_images)
    batch_size = min(batch_size, unit_rows) if config.batch_size == "auto" else batch_size
    actors, threads, cpus, gpus, actor_reason = _actors(config, info, layout, available)
    units = math.ceil(total / unit_rows)
    reasons = (
        why,
        actor_reason,
        f"{units:,} {'unit' if units == 1 else 'units'} of at most {unit_rows:,} images, "
        f"batches of {batch_size}",
    )
    return Plan(
        layout=layout,
        device=device,
        precision=config.precision,
        total=total,
        unit_rows=unit_rows,
        batch_size=batch_size,
        actors=actors,
        threads=threads,
        actor_cpus=cpus,
        actor_gpus=gpus,
        reasons=reasons,
    )


def _choose_layout(
    config: RunSection, available: Available, has_cuda: bool
) -> tuple[Layout, str, str]:
    if config.engine == "inline":
        if config.device == "cuda" and not has_cuda:
            raise ConfigError(
                "PLAN_UNSCHEDULABLE", "run.device: cuda was asked for, but no GPU is visible here."
            )
        device = "cuda" if has_cuda and config.device != "cpu" else "cpu"
        return "inline", device, f"inline: in this process on {device}, no Ray"
    if config.device == "cuda" and available.gpus < 1:
        raise ConfigError(
            "PLAN_UNSCHEDULABLE",
            "run.device: cuda was asked for, but Ray has no free GPU "
            f"(free: {available.cpus:g} CPUs, {available.gpus} GPUs).",
        )
    if available.gpus >= 1 and config.device != "cpu":
        if available.cpus < 1:
            raise ConfigError(
                "PLAN_UNSCHEDULABLE",
                f"reading and decoding need one free CPU; Ray has {available.cpus:g} free.",
            )
        return "gpu", "cuda", f"{available.gpus} free GPUs: CPUs decode and write, GPUs infer"
    if available.cpus < _MIN_ACTOR_CPUS:
        raise ConfigError(
            "PLAN_UNSCHEDULABLE",
            f"an actor needs {_MIN_ACTOR_CPUS} free CPUs; Ray has {available.cpus:g} free. "
            "Wait for other work to end, or start Ray with more CPUs.",
        )
    return "cpu", "cpu", f"{_cpus(available.cpus)} free, no GPU: all steps inside the actors"


def _batch_size(config: RunSection, info: ModelInfo, device: str) -> int:
    if config.batch_size != "auto":
        return config.batch_size
    if device == "cpu":
        return 32
    flops = info.flops_per_image or 5e9
    return 256 if flops < 2e10 else 64 if flops < 2e11 else 16


def _unit_rows(
    config: RunSection, info: ModelInfo, total: int, device: str, reads_images: bool
) -> int:
    if config.unit_rows != "auto":
        return config.unit_rows
    if not reads_images:
        return _MAX_UNIT_ROWS
    flops = info.flops_per_image or 5e9
    seconds = _DECODE_SECONDS + (flops / _CPU_FLOPS_PER_SECOND if device == "cpu" else 0.0)
    rows = min(_UNIT_SECONDS / seconds, _MAX_UNIT_ROWS)
    if device != "cpu":
        # Decoded units cross the object store: small enough that every GPU gets some.
        rows = min(rows * 8, _DECODED_BYTES / math.prod(info.input_shape), _MAX_UNIT_ROWS)
    rows = max(min(rows, total / _MIN_UNITS), _MIN_UNIT_ROWS)
    return int(2 ** math.floor(math.log2(rows)))


def _actors(
    config: RunSection, info: ModelInfo, layout: Layout, available: Available
) -> tuple[int, int, float, float, str]:
    wanted = None if config.actors == "auto" else config.actors
    if layout == "inline":
        threads = max(1, int(available.cpus)) if config.threads == "auto" else config.threads
        return 1, threads, 0.0, 0.0, f"{threads} threads"
    if layout == "gpu":
        actors = wanted or available.gpus
        if actors > available.gpus:
            raise ConfigError(
                "PLAN_UNSCHEDULABLE",
                f"run.actors: {actors} actors need {actors} GPUs; Ray has {available.gpus} free. "
                f"Set run.actors to at most {available.gpus}, or leave it at auto.",
            )
        return actors, 2, 0.0, 1.0, f"{actors} actors with one GPU each"
    threads = _THREADS_PER_ACTOR if config.threads == "auto" else config.threads
    # One CPU stays free, so that a server or a task beside the run can be scheduled.
    share = available.cpus - 1 if available.cpus >= 2 else available.cpus / 2
    each_bytes = _ACTOR_BYTES + 6 * info.parameters  # float32 weights, and room to load them
    by_memory = max(1, int(available.memory * 0.6 / each_bytes)) * available.nodes
    actors = wanted or max(1, min(int(available.cpus // threads), by_memory))
    each = math.floor(min(share / actors, threads) * 100) / 100
    if wanted is not None and each < _MIN_ACTOR_CPUS:
        fit = max(1, int(share / _MIN_ACTOR_CPUS))
        raise ConfigError(
            "PLAN_UNSCHEDULABLE",
            f"run.actors: {wanted} actors do not fit in {available.cpus:g} free CPUs; "
            f"set run.actors to at most {fit}, or leave it at auto.",
        )
    each = max(each, _MIN_ACTOR_CPUS / 2)
    text = f"{actors} actor{'s' if actors > 1 else ''} with {threads} threads"
    return actors, threads, each, 0.0, f"{text}, {_cpus(each)} reserved each"


def _cpus(count: float) -> str:
    return f"{count:g} CPU" if count == 1 else f"{count:g} CPUs"
