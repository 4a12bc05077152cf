"""Pairs of stored runs with made-up results: the files and rows that real runs leave behind."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from snellen.adapters.types import TaskType
from snellen.metrics.detection.operating_point import OperatingPoint
from snellen.pipelines.config.loader import build_config
from snellen.pipelines.config.stored import stored_config
from snellen.pipelines.tasks.registry import task_of
from snellen.store.jobs import TrainingJobRecord, upsert_training_job
from snellen.store.kinds import TEST_RUN
from snellen.store.leases import acquire
from snellen.store.ledger import commit_units
from snellen.store.parquet.schema import PREDICTED_BOXES, RESULT_SCHEMA, TOP5, TRUE_BOXES
from snellen.store.parquet.unit_files import write_unit_file
from snellen.store.parquet.unit_record import UnitRecord
from snellen.store.runs import complete_run, create_test_run, get_test_run
from snellen.store.sql.database import Database
from snellen.store.views import RunView

UNIT = 5_000
CLASSES = 80
TRUE, FOUND = 7, 20
"""Objects and predictions of each image of a detector."""


def classified_units(images: int, seed: int, accuracy: float) -> Iterator[pa.Table]:
    """Yield the rows of a classifier; the same images and ground truth for every seed."""
    for start in range(0, images, UNIT):
        rows = min(UNIT, images - start)
        true = np.random.default_rng(start).integers(0, CLASSES, rows)
        random = np.random.default_rng([seed, start])
        correct = random.random(rows) < accuracy
        other = (true + random.integers(1, CLASSES, rows)) % CLASSES
        predicted = np.where(correct, true, other)
        confidence = np.clip(random.normal(0.8, 0.1, rows), 0.3, 0.999)
        of_true = np.where(correct, confidence, 1 - confidence)
        ids = np.stack([(predicted + step) % CLASSES for step in range(5)], axis=1).ravel()
        top5 = pa.StructArray.from_arrays(
            [
                pa.array(ids, pa.int32()),
                pa.array([f"class {one}" for one in range(CLASSES)]).take(pa.array(ids)),
                pa.array(np.repeat(confidence, 5), pa.float32()),
            ],
            fields=list(TOP5.value_type),
        )
        yield _table(
            start,
            rows,
            {
                "true_label_id": pa.array(true, pa.int32()),
                "true_label": pa.array([f"class {one}" for one in true]),
                "predicted_label_id": pa.array(predicted, pa.int32()),
                "predicted_label": pa.array([f"class {one}" for one in predicted]),
                "confidence": pa.array(confidence, pa.float32()),
                "true_confidence": pa.array(of_true, pa.float32()),
                "loss": pa.array(-np.log(of_true), pa.float32()),
                "is_correct": pa.array(correct),
                "top5_predictions": pa.ListArray.from_arrays(
                    pa.array(np.arange(0, 5 * rows + 1, 5, dtype=np.int32)), top5
                ),
            },
        )


def detected_units(images: int, seed: int, noise: float) -> Iterator[pa.Table]:
    """Yield the rows of a detector, matched at the default operating point."""
    match = task_of(TaskType.OBJECT_DETECTION).match_columns
    assert match is not None
    for start in range(0, images, UNIT):
        rows = min(UNIT, images - start)
        of_truth = np.random.default_rng(start)
        corner = of_truth.uniform(0, 400, (rows * TRUE, 2))
        size = of_truth.lognormal(4, 1, (rows * TRUE, 2)).clip(4, 240)
        true = np.concatenate([corner, corner + size], axis=1).astype(np.float32)
        labels = of_truth.integers(0, CLASSES, rows * TRUE).astype(np.int32)
        boxes, classes, confidence = _found(
            np.random.default_rng([seed, start]), true, labels, noise
        )
        sides = true[:, 2:] - true[:, :2]
        flags = dict.fromkeys(("is_crowd", "ignore"), np.zeros(len(labels), np.bool_))
        table = _table(
            start,
            rows,
            {
                "true_boxes": _boxes(
                    TRUE_BOXES,
                    TRUE,
                    true,
                    {"class_id": labels, "area": sides.prod(axis=1), **flags},
                ),
                "predicted_boxes": _boxes(
                    PREDICTED_BOXES, FOUND, boxes, {"class_id": classes, "confidence": confidence}
                ),
            },
        )
        columns = match(table, OperatingPoint(0.25, 0.5))
        for name, column in columns.items():
            place = table.schema.get_field_index(name)
            table = table.set_column(place, table.schema.field(place), column)
        yield table


def _found(
    random: np.random.Generator, true: Any, labels: Any, noise: float
) -> tuple[Any, Any, npt.NDArray[np.float32]]:
    images = len(labels) // TRUE
    origin = random.integers(0, TRUE, (images, FOUND)) + np.arange(images)[:, None] * TRUE
    on = (random.random(origin.shape) < 0.4).ravel()
    origin = origin.ravel()
    moved = true[origin] + random.normal(0, noise, (len(origin), 4))
    far = random.uniform(0, 400, (len(origin), 2))
    away = np.concatenate([far, far + random.uniform(8, 200, far.shape)], axis=1)
    boxes = np.where(on[:, None], moved, away).astype(np.float32)
    boxes[:, 2:] = np.maximum(boxes[:, 2:], boxes[:, :2] + 1)
    right = on & (random.random(len(on)) < 0.9)
    classes = np.where(right, labels[origin], random.integers(0, CLASSES, len(on)))
    confidence = -np.sort(-random.beta(1, 4, (images, FOUND)), axis=1).ravel().astype(np.float32)
    return boxes, classes.astype(np.int32), confidence


def _boxes(kind: Any, each: int, corners: Any, others: dict[str, Any]) -> pa.Array:
    values = {**dict(zip(("x1", "y1", "x2", "y2"), corners.T, strict=True)), **others}
    fields = list(kind.value_type)
    arrays = [pa.array(values[field.name], field.type) for field in fields]
    offsets = pa.array(np.arange(0, len(corners) + 1, each, dtype=np.int32))
    return pa.ListArray.from_arrays(offsets, pa.StructArray.from_arrays(arrays, fields=fields))


def _table(start: int, rows: int, columns: dict[str, Any]) -> pa.Table:
    """Return rows with every column of a result file."""
    index = range(start, start + rows)
    names = [f"images/{number // 1000:04}/{number:08}.jpg" for number in index]
    known = {
        "image_index": pa.array(index, pa.int64()),
        **{name: pa.array(names) for name in ("image_id", "image_path", "image_name")},
        **dict.fromkeys(("width", "height"), pa.array(np.full(rows, 640, np.int32))),
        "status": pa.array(["ok"] * rows),
        "inference_time_ms": pa.array(np.full(rows, 2.0, np.float32)),
        "extra_data": pa.array([f'{{"brightness": {number % 997 / 997:.4f}}}' for number in index]),
        "content_hash": pa.array([f"{number:064x}" for number in index]),
        **columns,
    }
    arrays = [known.get(field.name, pa.nulls(rows, field.type)) for field in RESULT_SCHEMA]
    return pa.table(arrays, schema=RESULT_SCHEMA)


def store_run(db: Database, folder: Path, task: TaskType, units: Iterator[pa.Table]) -> RunView:
    """Write the files of a run and its row, as a finished run leaves them, without metrics."""
    names = [f"class {number}" for number in range(CLASSES)]
    config = build_config(
        {"name": folder.name, "dataset": {"path": str(folder)}, "model": {"adapter": "noop"}}
    )
    job = upsert_training_job(db, TrainingJobRecord("made up", "noop", task, None, str(folder)))
    run_id = create_test_run(
        db,
        training_job_id=job.id,
        checkpoint_path="none",
        name=folder.name,
        task_type=task,
        class_names=names,
        config=stored_config(config),
        results_dir=str(folder),
        dataset_path=str(folder),
    )
    lease = acquire(db, TEST_RUN, run_id)
    folder.mkdir()
    records, start = [], 0
    for number, table in enumerate(units):
        file, sha256 = write_unit_file(table, folder, number, "a")
        stop = start + len(table)
        records.append(
            UnitRecord(number, start, stop, file, sha256, len(table), 0, "a", "here", {}, {})
        )
        start = stop
    commit_units(db, lease, records)
    counts = {"total_images": start, "scored_images": start, "failed_images": 0}
    complete_run(db, lease, columns=counts)
    return get_test_run(db, run_id)


def stored_pair(folder: Path, kind: str, images: int) -> tuple[Database, Sequence[RunView]]:
    """Store two runs on the same images.

    Args:
        folder: an empty one.
        kind: ``classification`` or ``detection``.
        images: number of images.
    """
    db = Database.open(f"sqlite:///{folder / 'runs.db'}")
    if kind == "classification":
        sides = [classified_units(images, seed, 0.8 + seed / 1000) for seed in (1, 2)]
        task = TaskType.IMAGE_CLASSIFICATION
    else:
        sides = [detected_units(images, seed, 5.0 - seed) for seed in (1, 2)]
        task = TaskType.OBJECT_DETECTION
    runs = [
        store_run(db, folder / f"{kind}-{side}", task, units)
        for side, units in zip("ab", sides, strict=True)
    ]
    return db, runs
