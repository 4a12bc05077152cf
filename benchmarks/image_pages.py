"""Measure pages of the images of a run of a million images, filtered and sorted.

``python -m benchmarks.image_pages [--images N]`` writes synthetic result files to a temporary
folder, and asks the service's own reader for pages: the first one of a selection, a page far down
in it, and the page after that. The goals are 1 s and 0.05 s.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from snellen.serve.api.bodies.image_bodies import ImageQuery
from snellen.serve.api.runs.images import RunPages
from snellen.store.jobs import TrainingJobRecord, upsert_training_job
from snellen.store.leases import acquire, release
from snellen.store.ledger import commit_units
from snellen.store.parquet.schema import RESULT_SCHEMA
from snellen.store.parquet.unit_files import write_unit_file
from snellen.store.parquet.unit_record import UnitRecord
from snellen.store.runs import create_test_run, get_test_run
from snellen.store.sql.database import Database
from snellen.store.views import RunView

UNIT_ROWS = 4096
CLASSES = 100
PAGE, LIMIT = 8000, 100
GOALS = {"page 8,000, unknown selection": 1.0, "the next page": 0.05}


def unit_table(start: int, stop: int, random: np.random.Generator) -> pa.Table:
    """Return the rows of one unit of a classifier's run."""
    count = stop - start
    true = random.integers(0, CLASSES, count, dtype=np.int32)
    right = random.random(count) < 0.8
    predicted = np.where(right, true, (true + 1) % CLASSES).astype(np.int32)
    columns: dict[str, Any] = {
        "image_index": np.arange(start, stop, dtype=np.int64),
        "image_id": [f"images/{index:07d}.jpg" for index in range(start, stop)],
        "image_name": [f"{index:07d}.jpg" for index in range(start, stop)],
        "width": np.full(count, 640, np.int32),
        "height": np.full(count, 480, np.int32),
        "status": ["ok"] * count,
        "true_label": [f"class {number}" for number in true],
        "true_label_id": true,
        "predicted_label": [f"class {number}" for number in predicted],
        "predicted_label_id": predicted,
        "confidence": random.random(count, dtype=np.float32),
        "loss": random.random(count, dtype=np.float32),
        "is_correct": right,
        "inference_time_ms": random.random(count, dtype=np.float32),
    }
    arrays = [
        pa.array(columns[field.name], field.type)
        if field.name in columns
        else pa.nulls(count, field.type)
        for field in RESULT_SCHEMA
    ]
    return pa.Table.from_arrays(arrays, schema=RESULT_SCHEMA)


def make_run(folder: Path, images: int) -> tuple[Database, RunView]:
    """Write a run with synthetic result files."""
    db = Database.open(f"sqlite:///{folder / 'runs.db'}")
    record = TrainingJobRecord("bench", "timm", "image_classification", "m", str(folder))
    job = upsert_training_job(db, record)
    run_id = create_test_run(
        db,
        training_job_id=job.id,
        checkpoint_path="best.pth",
        dataset_path=str(folder),
        task_type="image_classification",
        class_names=[f"class {number}" for number in range(CLASSES)],
        results_dir=str(folder),
        total_images=images,
        failed_images=0,
    )
    lease = acquire(db, "test_run", run_id)
    random = np.random.default_rng(0)
    records = []
    for unit, start in enumerate(range(0, images, UNIT_ROWS)):
        stop = min(start + UNIT_ROWS, images)
        file, sha256 = write_unit_file(unit_table(start, stop, random), folder, unit, "a")
        records.append(
            UnitRecord(unit, start, stop, file, sha256, stop - start, 0, "a", "here", {}, {})
        )
    commit_units(db, lease, records)
    release(db, lease, status="completed")
    return db, get_test_run(db, run_id)


def seconds(work: Callable[[], object]) -> float:
    """Return how long a call takes."""
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def measure(images: int = 1_000_000) -> dict[str, float]:
    """Return the seconds of each kind of page."""
    with tempfile.TemporaryDirectory(prefix="snellen-pages-") as name:
        db, run = make_run(Path(name), images)
        pages = RunPages(db)

        def ask(page: int, **query: Any) -> object:
            return pages.test_images(run, ImageQuery(skip=page * LIMIT, limit=LIMIT, **query))

        last = (images * 8 // 10) // LIMIT - 3
        far = min(PAGE, last)
        wrong: dict[str, Any] = {"sort": "confidence", "descending": True, "min_confidence": 0.1}
        found = {
            "page 8,000, unknown selection": seconds(lambda: ask(far, **wrong)),
            "the next page": seconds(lambda: ask(far + 1, **wrong)),
            "another selection": seconds(lambda: ask(3, correct=False, sort="loss")),
            "with objects": seconds(lambda: ask(far + 1, objects=True, **wrong)),
        }
        db.close()
        return found


def main() -> None:
    """Measure and print; exit with 1 if a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=1_000_000)
    found = measure(parser.parse_args().images)
    for name, value in found.items():
        goal = f" (goal {GOALS[name]:g} s)" if name in GOALS else ""
        print(f"{name:32} {value:8.3f} s{goal}")
    raise SystemExit(any(found[name] > goal for name, goal in GOALS.items()))


if __name__ == "__main__":
    main()
