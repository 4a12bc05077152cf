"""Parts of a run counted by Ray tasks: in order, with their errors, the same numbers."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from snellen.adapters.errors import ConfigError
from snellen.adapters.types import TaskType
from snellen.metrics.tasks import task_of
from snellen.pipelines.config.metrics import MetricsConfig
from snellen.pipelines.execution.ray.map import ray_map
from snellen.pipelines.runs.measure import Counted, measure
from snellen.pipelines.runs.slices import MetricsSpec
from snellen.store.parquet.results import Results
from snellen.store.parquet.unit_files import write_unit_file
from snellen.store.parquet.unit_record import UnitRecord
from tests.metrics.detection.examples import TASK, draw, table
from tests.pipelines.execution.test_engines import assert_same_run, run
from tests.pipelines.making import grey_folder

UNITS, IMAGES = 6, 12
NAMES = ("a", "b", "c")


def late(number: int) -> tuple[int, int]:
    time.sleep(0.2 / (number + 1))  # the first one comes last
    return number, os.getpid()


def refuse(number: int) -> int:
    if number == 3:
        raise ConfigError("NO_THREE", f"{number} is refused")
    return number


def files(folder: Path, kind: str) -> Results:
    """Result files of synthetic objects."""
    records = []
    for unit in range(UNITS):
        rows = [
            row | {"image_index": unit * IMAGES + place, "inference_time_ms": 1.5}
            for place, row in enumerate(draw(unit, kind, images=IMAGES))
        ]
        name, digest = write_unit_file(table(rows), folder, unit, "a")
        start = unit * IMAGES
        records.append(
            UnitRecord(unit, start, start + IMAGES, name, digest, IMAGES, 0, "a", "w", {}, {})
        )
    return Results(folder, records)


@pytest.mark.ray
def test_answers_come_in_order_from_other_processes(shared_ray: None) -> None:
    answers = list(ray_map(late, range(9)))
    assert [number for number, _ in answers] == list(range(9))
    assert os.getpid() not in {process for _, process in answers}
    assert list(ray_map(late, [])) == []


@pytest.mark.ray
def test_what_a_part_raises_is_raised(shared_ray: None) -> None:
    with pytest.raises(ConfigError, match="3 is refused") as caught:
        list(ray_map(refuse, range(9)))
    assert caught.value.code == "NO_THREE"


@pytest.mark.ray
@pytest.mark.parametrize("kind", TASK)
def test_metrics_by_tasks_are_those_of_one_process(
    kind: str, tmp_path: Path, shared_ray: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    task, total = TaskType(TASK[kind]), UNITS * IMAGES
    assert kind in task_of(task).overlaps
    results, config = files(tmp_path, kind), MetricsConfig(bootstrap=20)
    spec = MetricsSpec(task, NAMES, config)
    alone = measure(results, spec, total)
    monkeypatch.setattr("snellen.pipelines.runs.measure._ROWS_PER_PART", 2 * IMAGES)
    parts: list[Sequence[Path]] = []

    def spread(function, some):  # type: ignore[no-untyped-def]
        parts.extend(some)
        return ray_map(function, parts)

    assert measure(results, spec, total, spread=spread) == alone
    assert [len(part) for part in parts] == [2, 2, 2]


def test_states_are_merged_on_the_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    results = files(tmp_path, "bbox")
    task, total = TaskType.OBJECT_DETECTION, UNITS * IMAGES
    spec = MetricsSpec(task, NAMES, MetricsConfig(bootstrap=0))
    expected = measure(results, spec, total)
    monkeypatch.setattr("snellen.pipelines.runs.measure._ROWS_PER_PART", 1)
    monkeypatch.setattr("snellen.pipelines.runs.measure._MERGE_EVERY", 2)
    got = measure(results, spec, total)
    assert got == expected


@pytest.mark.ray
def test_a_large_run_on_ray_is_counted_by_tasks(
    tmp_path: Path, shared_ray: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = grey_folder(tmp_path / "data", each=14)
    small = run(data, "ray")
    used: list[bool] = []

    def counted(function, parts):  # type: ignore[no-untyped-def]
        used.append(True)
        found: list[Counted] = list(ray_map(function, parts))
        return iter(found)

    monkeypatch.setattr("snellen.pipelines.runs.measure.SPREAD_FROM", 1)
    monkeypatch.setattr("snellen.pipelines.execution.ray.map.ray_map", counted)
    large = run(data, "ray")
    assert used == [True]
    assert_same_run(small, large)
