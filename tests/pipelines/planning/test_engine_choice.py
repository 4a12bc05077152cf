"""``run.engine: auto``: one process for short work on CPUs, Ray otherwise."""

from __future__ import annotations

import pytest

from snellen.pipelines.config.ray_section import RayConfig
from snellen.pipelines.planning.engine_choice import SHORT_S, Work, choose_engine, needs_ray
from tests.pipelines.planning.test_plan import info

LIGHT, HEAVY = info(1e8), info(2e10)


@pytest.mark.parametrize(
    ("work", "engine"),
    [
        (Work(LIGHT, 7, 2), "inline"),
        (Work(LIGHT, 3000, 2), "inline"),
        (Work(HEAVY, 120, 2), "inline"),
        (Work(HEAVY, 4800, 2), "ray"),
        (Work(LIGHT, 1_000_000, 8), "ray"),
        (Work(HEAVY, 1_000_000, 2, reads_images=False), "inline"),
    ],
)
def test_the_estimated_work_decides(work: Work, engine: str) -> None:
    chosen, why = choose_engine(work)
    assert chosen == engine
    assert why.startswith(f"auto: {'Ray' if engine == 'ray' else 'inline'}, because")


def test_the_reason_names_the_time_and_the_cpus() -> None:
    assert choose_engine(Work(LIGHT, 4000, 2))[1] == (
        "auto: inline, because about 20 s of work on 2 CPUs needs no other process"
    )
    assert "about 14 h of work on 2 CPUs" in choose_engine(Work(HEAVY, 100_000, 2))[1]


def test_the_limit_is_the_time_of_one_process() -> None:
    each = Work(LIGHT, 1, 1).seconds
    below, above = (Work(LIGHT, int(SHORT_S / each) + step, 1) for step in (0, 1))
    assert [choose_engine(work)[0] for work in (below, above)] == ["inline", "ray"]


def test_a_cluster_and_a_gpu_need_ray() -> None:
    cluster = RayConfig(address="10.0.0.1:6379")
    assert needs_ray(cluster, False) == "auto: Ray, because ray.address is 10.0.0.1:6379"
    env = RayConfig(runtime_env={"pip": ["a"]})
    assert needs_ray(env, False) == "auto: Ray, because ray.runtime_env is set"
    assert needs_ray(RayConfig(), True) == "auto: Ray, because this machine has a GPU"
    assert needs_ray(RayConfig(), False) is None
