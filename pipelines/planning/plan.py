"""The plan of a run: units and resources, with reasons; impossible requests are rejected.

Results depend on ``unit_rows`` and ``batch_size``, because batches are cut inside a unit. They
therefore follow only from the model, the number of images and the kind of device, and are equal on
every machine with that kind of device. Actors, threads and CPU shares follow from the free
resources.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
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
    """Free resources.

    Attributes:
        cpus: free CPUs.
        gpus: free GPUs.
        memory: memory of the smallest node in bytes.
        node_cpus: free CPUs of each node of a cluster; empty for one machine.
    """

    cpus: float
    gpus: int
    memory: int
    node_cpus: tuple[float, ...] = ()

    @property
    def nodes(self) -> tuple[float, ...]:
        """The free CPUs of each node; an actor or a task needs all of its own on one node."""
        return self.node_cpus or (self.cpus,)


@dataclass(frozen=True, slots=True)
class Plan:
    """The resolved settings of a run, stored in its column ``resolved``.

    Attributes:
        layout: ``inline`` (this process), ``cpu`` (all inside actors), ``gpu`` (CPU tasks
            decode and write, GPU actors infer).
        device: ``cpu`` or ``cuda``.
        total, unit_rows, batch_size: images in all, per unit, and per forward pass.
        actors, threads: processes with a model, and concurrent units in each.
        actor_cpus, actor_gpus: resources that one actor reserves in Ray.
        reasons: one line per choice, for the user.
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
        """The number of units."""
        return math.ceil(self.total / self.unit_rows)

    def to_json(self) -> dict[str, Any]:
        """Return the plan as it is stored with the run."""
        return {**asdict(self), "units": self.units, "reasons": list(self.reasons)}


@dataclass(frozen=True, slots=True)
class PlanRequest:
    """A run to plan.

    Attributes:
        config: the ``run`` section of the configuration.
        info: the loaded checkpoint.
        total: number of images in the manifest.
        reads_images: False for an adapter that does not read pixels.
        has_cuda: this process has a GPU for the model (inline engine).
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
        available: the resources that are free now.

    Raises:
        ConfigError: PLAN_UNSCHEDULABLE, naming the free resources and a request that fits.
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
                "PLAN_UNSCHEDULABLE",
                "run.device: cuda is not available: this process sees no GPU. Expected one. Set "
                "run.device=cpu.",
            )
        device = "cuda" if has_cuda and config.device != "cpu" else "cpu"
        return "inline", device, f"inline: in this process on {device}, no Ray"
    if config.device == "cuda" and available.gpus < 1:
        raise ConfigError(
            "PLAN_UNSCHEDULABLE",
            f"run.device: cuda is not available: Ray has {available.cpus:g} free CPUs and "
            f"{available.gpus} free GPUs. Expected a free GPU. Set run.device=cpu.",
        )
    if available.gpus >= 1 and config.device != "cpu":
        if max(available.nodes) < 1:
            raise ConfigError(
                "PLAN_UNSCHEDULABLE",
                f"{_has(available)}. Expected at least 1, for reading and "
                "decoding. Wait for other work to end, or start Ray with more CPUs.",
            )
        return "gpu", "cuda", f"{available.gpus} free GPUs: CPUs decode and write, GPUs infer"
    if max(available.nodes) < _MIN_ACTOR_CPUS:
        raise ConfigError(
            "PLAN_UNSCHEDULABLE",
            f"{_has(available)}. Expected at least {_MIN_ACTOR_CPUS}, for an "
            "actor. Wait for other work to end, or start Ray with more CPUs.",
        )
    where = "" if len(available.nodes) == 1 else f" on {len(available.nodes)} nodes"
    return "cpu", "cpu", f"{_cpus(available.cpus)} free{where}, no GPU: all steps inside the actors"


def _has(available: Available) -> str:
    if len(available.nodes) == 1:
        return f"Ray has {available.cpus:g} free CPUs"
    return f"Ray has {max(available.nodes):g} free CPUs on its freest node"


def _batch_size(config: RunSection, info: ModelInfo, device: str) -> int:
    if config.batch_size != "auto":
        return config.batch_size
    if device == "cpu":
        return 32
    flops = info.flops_per_image or 5e9
    return 256 if flops < 2e10 else 64 if flops < 2e11 else 16


def image_seconds(info: ModelInfo, device: str) -> float:
    """Estimate the time of one CPU per image, in seconds; on a GPU machine for decoding alone."""
    flops = info.flops_per_image or 5e9
    return _DECODE_SECONDS + (flops / _CPU_FLOPS_PER_SECOND if device == "cpu" else 0.0)


def _unit_rows(
    config: RunSection, info: ModelInfo, total: int, device: str, reads_images: bool
) -> int:
    if config.unit_rows != "auto":
        return config.unit_rows
    if not reads_images:
        return _MAX_UNIT_ROWS
    seconds = image_seconds(info, device)
    rows = min(_UNIT_SECONDS / seconds, _MAX_UNIT_ROWS)
    if device != "cpu":
        # Decoded units pass through the object store: small ones, so that every GPU gets some.
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
                f"run.actors: {actors} actors need {actors} GPUs. Expected no more than the "
                f"{available.gpus} free GPUs of Ray. Set run.actors={available.gpus} or auto.",
            )
        return actors, 2, 0.0, 1.0, f"{actors} actors with one GPU each"
    return _cpu_actors(config, info, available)


def _cpu_actors(
    config: RunSection, info: ModelInfo, available: Available
) -> tuple[int, int, float, float, str]:
    """Place actors on each node; all of them reserve as much as fits on the fullest one."""
    threads = _THREADS_PER_ACTOR if config.threads == "auto" else config.threads
    nodes = [cpus for cpus in available.nodes if cpus >= _MIN_ACTOR_CPUS]
    # One CPU of a node stays free, so that a server or a task can be scheduled beside the run.
    shares = [cpus - 1 if cpus >= 2 else cpus / 2 for cpus in nodes]
    if config.actors == "auto":
        each_bytes = _ACTOR_BYTES + 6 * info.parameters  # float32 weights, and room to load them
        by_memory = max(1, int(available.memory * 0.6 / each_bytes))
        placed = [max(1, min(int(cpus // threads), by_memory)) for cpus in nodes]
    else:
        placed = _spread(config.actors, shares)
    actors = sum(placed)
    room = min(share / count for share, count in zip(shares, placed, strict=True) if count)
    each = math.floor(min(room, threads) * 100) / 100
    if config.actors != "auto" and each < _MIN_ACTOR_CPUS:
        fit = max(1, sum(int(share / _MIN_ACTOR_CPUS) for share in shares))
        raise ConfigError(
            "PLAN_UNSCHEDULABLE",
            f"run.actors: {actors} actors do not fit in the {available.cpus:g} free CPUs of Ray. "
            f"Expected at most {fit}. Set run.actors={fit} or auto.",
        )
    each = max(each, _MIN_ACTOR_CPUS / 2)
    text = f"{actors} actor{'s' if actors > 1 else ''} with {threads} threads"
    return actors, threads, each, 0.0, f"{text}, {_cpus(each)} reserved each"


def _spread(actors: int, shares: Sequence[float]) -> list[int]:
    """Return the number of actors per node, so that the smallest part of a share is largest."""
    placed = [0] * len(shares)
    for _ in range(actors):
        node = max(range(len(shares)), key=lambda n: shares[n] / (placed[n] + 1))
        placed[node] += 1
    return placed


def _cpus(count: float) -> str:
    return f"{count:g} CPU" if count == 1 else f"{count:g} CPUs"
