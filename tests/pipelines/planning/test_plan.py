"""The plan: units follow from model, images and device kind, resources from free ones."""

from __future__ import annotations

import json
from typing import Any, TypedDict, Unpack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snellen.adapters.errors import ConfigError
from snellen.adapters.types import ModelInfo, TaskType
from snellen.pipelines.config.sections import RunSection
from snellen.pipelines.planning.plan import Available, Plan, PlanRequest, make_plan

GIB = 2**30


def info(flops: float | None = 4e9, shape: tuple[int, ...] = (3, 224, 224)) -> ModelInfo:
    return ModelInfo(
        "timm", "m", TaskType.IMAGE_CLASSIFICATION, 10, None, None, shape, 1, flops,
        "/m.pth", "0" * 64, None, None, {}, {},
    )  # fmt: skip


class PlanOptions(TypedDict, total=False):
    """The machine, the model and keys of the section ``run``."""

    memory: int
    nodes: int
    total: int
    model: ModelInfo
    reads: bool
    cuda: bool
    engine: str
    device: str
    precision: str
    actors: int
    threads: int
    unit_rows: int
    batch_size: int


def plan(cpus: float = 8, gpus: int = 0, **options: Unpack[PlanOptions]) -> Plan:
    """Plan 100,000 images on one node with 64 GiB, unless the options say otherwise.

    ``nodes``: number of nodes that share the CPUs equally.
    """
    run = {key: value for key, value in options.items() if key in RunSection.model_fields}
    request = PlanRequest(
        RunSection.model_validate(run),
        options.get("model") or info(),
        options.get("total", 100_000),
        reads_images=options.get("reads", True),
        has_cuda=options.get("cuda", False),
    )
    memory, nodes = options.get("memory", 64 * GIB), options.get("nodes", 1)
    return make_plan(request, Available(cpus, gpus, memory, (cpus / nodes,) * nodes))


def rejected(**arguments: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        plan(**arguments)
    assert caught.value.code == "PLAN_UNSCHEDULABLE"
    return caught.value.message


def test_the_three_layouts() -> None:
    inline = plan(engine="inline")
    assert (inline.layout, inline.device, inline.actors, inline.threads) == ("inline", "cpu", 1, 8)
    cpu = plan()
    assert (cpu.layout, cpu.device, cpu.actors, cpu.threads) == ("cpu", "cpu", 4, 2)
    gpu = plan(gpus=2)
    assert (gpu.layout, gpu.device, gpu.actors, gpu.actor_gpus) == ("gpu", "cuda", 2, 1.0)
    assert plan(gpus=2, device="cpu").layout == "cpu"
    assert plan(engine="inline", cuda=True).device == "cuda"
    assert plan(engine="inline", cuda=True, device="cpu").device == "cpu"


def test_one_cpu_stays_free_for_others() -> None:
    for cpus in (0.5, 1, 2, 3, 4, 16, 64):
        chosen = plan(cpus)
        reserved = chosen.actors * chosen.actor_cpus
        assert 0 < reserved <= cpus - (1 if cpus >= 2 else 0) + 1e-9
        assert chosen.actors >= 1


def test_memory_bounds_the_actors() -> None:
    assert plan(64, memory=4 * GIB).actors == 3
    assert plan(64, memory=4 * GIB, nodes=4).actors == 12
    assert plan(64, memory=0).actors == 1


@pytest.mark.parametrize(
    ("nodes", "actors", "each"),
    [
        ((1, 1), 2, 0.5),
        ((2, 2), 2, 1.0),
        ((1, 1, 1, 1), 4, 0.5),
        ((16, 16), 16, 1.87),
        ((0, 4), 2, 1.5),  # a head node without CPUs
        ((1, 4), 3, 0.5),
        ((0.1, 0.1, 0.5), 1, 0.25),
    ],
)
def test_each_node_has_its_actors_and_its_reserve(
    nodes: tuple[float, ...], actors: int, each: float
) -> None:
    """An actor runs on one node, so CPUs of two nodes do not add up to one actor."""
    request = PlanRequest(RunSection(), info(), 100_000)
    chosen = make_plan(request, Available(sum(nodes), 0, 64 * GIB, nodes))
    assert (chosen.actors, chosen.actor_cpus) == (actors, each)
    assert sum(int(cpus // each) for cpus in nodes) >= actors


@pytest.mark.parametrize(
    ("nodes", "actors", "each"), [((2, 2), 4, 0.5), ((2, 2), 3, 0.5), ((1, 8), 4, 1.75)]
)
def test_configured_actors_are_spread_over_the_nodes(
    nodes: tuple[float, ...], actors: int, each: float
) -> None:
    request = PlanRequest(RunSection(actors=actors), info(), 100_000)
    chosen = make_plan(request, Available(sum(nodes), 0, 64 * GIB, nodes))
    assert (chosen.actors, chosen.actor_cpus) == (actors, each)


def test_free_cpus_of_several_nodes_are_no_room_for_one_actor() -> None:
    assert rejected(cpus=0.8, nodes=4).startswith(
        "Ray has 0.2 free CPUs on its freest node. Expected at least 0.25, for an actor."
    )
    assert rejected(cpus=2, gpus=1, nodes=4).startswith(
        "Ray has 0.5 free CPUs on its freest node. Expected at least 1, for reading"
    )
    assert plan(2, nodes=2).reasons[0].startswith("2 CPUs free on 2 nodes, no GPU")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"cpus": 0.1},
            "Ray has 0.1 free CPUs. Expected at least 0.25, for an actor. Wait for other work to "
            "end, or start Ray with more CPUs.",
        ),
        (
            {"cpus": 4, "device": "cuda"},
            "run.device: cuda is not available: Ray has 4 free CPUs and 0 free GPUs. Expected a "
            "free GPU. Set run.device=cpu.",
        ),
        (
            {"cpus": 0.5, "gpus": 1},
            "Ray has 0.5 free CPUs. Expected at least 1, for reading and decoding. Wait for other "
            "work to end, or start Ray with more CPUs.",
        ),
        (
            {"engine": "inline", "device": "cuda"},
            "run.device: cuda is not available: this process sees no GPU. Expected one. Set "
            "run.device=cpu.",
        ),
        (
            {"gpus": 2, "actors": 3},
            "run.actors: 3 actors need 3 GPUs. Expected no more than the 2 free GPUs of Ray. Set "
            "run.actors=2 or auto.",
        ),
        (
            {"cpus": 2, "actors": 9},
            "run.actors: 9 actors do not fit in the 2 free CPUs of Ray. Expected at most 4. Set "
            "run.actors=4 or auto.",
        ),
    ],
)
def test_impossible_requests_are_rejected(arguments: dict[str, Any], message: str) -> None:
    assert rejected(**arguments) == message


def test_the_advice_of_an_error_works() -> None:
    assert "run.actors=4" in rejected(cpus=2, actors=9)
    assert plan(2, actors=4).actors == 4


@given(
    st.integers(1, 10**7),
    st.sampled_from([None, 1e6, 1e9, 2e10, 1e12]),
    st.booleans(),
    st.sampled_from([0, 1]),
)
def test_what_makes_the_result_does_not_follow_the_machine(
    total: int, flops: float | None, reads: bool, gpus: int
) -> None:
    first = plan(2, gpus, total=total, model=info(flops), reads=reads)
    second = plan(128, gpus * 8, total=total, model=info(flops), reads=reads, nodes=4)
    inline = plan(4, engine="inline", total=total, model=info(flops), reads=reads, cuda=gpus > 0)
    for other in (second, inline):
        assert (first.unit_rows, first.batch_size) == (other.unit_rows, other.batch_size)
    assert 1 <= first.batch_size <= first.unit_rows <= 4096
    assert first.units == -(-total // first.unit_rows)


def test_what_is_set_is_taken() -> None:
    chosen = plan(8, unit_rows=100, batch_size=7, actors=2, threads=3, precision="bf16")
    assert (chosen.unit_rows, chosen.batch_size, chosen.actors, chosen.threads) == (100, 7, 2, 3)
    assert chosen.precision == "bf16"


def test_decoded_units_fit_the_object_store() -> None:
    chosen = plan(8, 1, total=10**7, model=info(1e6, (3, 640, 640)))
    assert chosen.unit_rows * 3 * 640 * 640 <= 64 * 2**20


def test_units_follow_the_cost_of_a_row() -> None:
    cheap, dear = (plan(total=10**6, model=info(f)).unit_rows for f in (1e8, 1e12))
    assert cheap > dear >= 16
    assert plan(total=10**6, reads=False).unit_rows == 4096


def test_the_plan_is_stored_and_explained() -> None:
    stored = plan(2, total=1000).to_json()
    assert json.loads(json.dumps(stored)) == stored
    assert stored["units"] * stored["unit_rows"] >= 1000
    assert stored["reasons"][0] == "2 CPUs free, no GPU: all steps inside the actors"
    assert stored["reasons"][1].startswith("1 actor with 2 threads, 1 CPU")
