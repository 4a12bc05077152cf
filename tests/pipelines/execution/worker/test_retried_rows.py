"""The rows of a unit that are scored again, and those that stay."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from snellen.pipelines.execution.ray.stages import GpuWorker, PrepareStage, WriteStage
from snellen.pipelines.execution.worker.retried_rows import rows_to_score
from snellen.pipelines.execution.worker.spec import Retry
from snellen.pipelines.execution.worker.unit_worker import UnitWorker
from snellen.pipelines.planning.units import Unit
from tests.pipelines.making import TIMES, grey_folder, scoring_spec


@pytest.mark.slow
def test_the_stages_of_gpu_nodes_retry_the_same_images(tmp_path: Path) -> None:
    data = grey_folder(tmp_path / "data", ("0", "1"), 4)
    spec = scoring_spec(data, tmp_path / "run", batch_size=3)
    unit = Unit(0, 0, 8)
    gone = {name: (data / name).read_bytes() for name in ("0/01.png", "1/03.png")}
    whole = UnitWorker(spec).score(unit).result()
    for name in gone:
        (data / name).unlink()
    former = UnitWorker(spec).score(unit).result()
    assert (whole.failed, former.failed) == (0, 2)
    for name, content in gone.items():
        (data / name).write_bytes(content)
    spec = replace(spec, retry=Retry(frozenset({"NOT_FOUND"}), {0: former.file}))
    batch: Any = {"unit_id": [0], "start": [0], "stop": [8]}
    prepared = PrepareStage(spec)(batch)
    assert prepared["images"].shape[:2] == (1, 2)
    outcome = pickle.loads(WriteStage(spec)(GpuWorker(spec)(prepared))["outcome"][0])
    rows = pq.read_table(spec.results_dir / outcome.result().file).drop(TIMES)
    assert rows.equals(pq.read_table(spec.results_dir / whole.file).drop(TIMES))


def test_a_known_hash_and_a_tar_shard_hold_in_a_retry(tmp_path: Path) -> None:
    """Whatever the time of the file: bytes that were declared, or lie in a shard, are fixed."""
    data = grey_folder(tmp_path / "data", ("0", "1"), 2)
    spec = scoring_spec(data, tmp_path / "run")
    manifest = pq.read_table(spec.manifest)
    former = UnitWorker(spec).score(Unit(0, 0, 4)).result()
    rows = pq.read_table(spec.results_dir / former.file)
    position = rows.schema.get_field_index("status")
    failed = rows.set_column(position, "status", pa.array(["failed"] * 4))
    codes = pa.array(["CHANGED"] * 4)
    failed = failed.set_column(rows.schema.get_field_index("error_code"), "error_code", codes)
    pq.write_table(failed, spec.results_dir / former.file)
    spec = replace(spec, retry=Retry(frozenset({"CHANGED"}), {0: former.file}))
    for name, values in (
        ("content_hash", pa.array(["0" * 64, None, None, None])),
        ("offset", pa.array([None, 0, None, None], pa.int64())),
    ):
        manifest = manifest.set_column(manifest.schema.get_field_index(name), name, values)
    chosen = rows_to_score(spec, Unit(0, 0, 4), manifest)
    assert [size is None for size in chosen["size"].to_pylist()] == [True, False, True, True]
    assert [time is None for time in chosen["mtime_ns"].to_pylist()] == [True, False, True, True]
    assert chosen["content_hash"].to_pylist() == ["0" * 64, None, None, None]
