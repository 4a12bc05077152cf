"""Fixtures that several packages of tests share."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

# Torch's threads spin while they wait for one another; on busy cores that makes tests crawl.
os.environ.setdefault("OMP_NUM_THREADS", "1")

REPOSITORY = Path(__file__).resolve().parents[1]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the files with slow tests first: at the end, one of them would keep one process busy.

    The order inside of a file stays.
    """
    slow = {item.path for item in items if item.get_closest_marker("slow") is not None}
    items.sort(key=lambda item: item.path not in slow)


@pytest.fixture(scope="session")
def importable() -> Iterator[None]:
    """Let other processes import ``tests``: Ray's workers, and commands that tests start."""
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (str(REPOSITORY), before)))
    yield
    if before is None:
        del os.environ["PYTHONPATH"]
    else:
        os.environ["PYTHONPATH"] = before


@pytest.fixture(scope="session")
def shared_ray(importable: None) -> Iterator[None]:
    """One Ray with two CPUs for all tests of this process, which runs reuse."""
    from snellen.pipelines.config.ray_section import RayConfig
    from snellen.pipelines.execution.ray.session import RaySession

    with RaySession(RayConfig(num_cpus=2)).start() as session:
        session.ready()
        yield
