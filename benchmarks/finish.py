"""Metrics of a large detection run: from result files to every metric, in seconds and memory.

Result files of 100,000 images with 2,000,000 detections of 80 classes are measured in a process of
their own, as at the end of a run. Then the twelve COCO metrics of 5,000 images are computed from
the result files, and by pycocotools and faster-coco-eval from the same boxes as their own objects.

Gate: at least 20 times as fast as pycocotools.
"""

from __future__ import annotations

import contextlib
import io
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from rich.console import Console
from rich.table import Table

from snellen.metrics.detection.coco import evaluate, merge, read_numbers
from snellen.metrics.detection.options import DetectionOptions
from snellen.metrics.matching.instances import instance_columns, read_images
from snellen.store.parquet.schema import PREDICTED_BOXES, TRUE_BOXES

CLASSES, TRUE, FOUND, UNIT = 80, 7, 20, 1000
MIN_SPEEDUP = 20
TASK = "object_detection"


def unit_table(start: int, images: int, random: np.random.Generator) -> pa.Table:
    """Return the rows of synthetic images; about 7 of 20 detections overlap a true box."""
    corner = random.uniform(0, 400, (images * TRUE, 2))
    size = random.lognormal(4, 1, (images * TRUE, 2)).clip(4, 240)
    true = np.concatenate([corner, corner + size], axis=1).astype(np.float32)
    labels = random.integers(0, CLASSES, images * TRUE).astype(np.int32)
    origin = random.integers(0, TRUE, (images, FOUND)) + np.arange(images)[:, None] * TRUE
    on = (random.random(origin.shape) < 0.4).ravel()
    origin = origin.ravel()
    moved = true[origin] + random.normal(0, 5, (len(origin), 4))
    far = random.uniform(0, 400, (len(origin), 2))
    away = np.concatenate([far, far + random.uniform(8, 200, far.shape)], axis=1)
    boxes = np.where(on[:, None], moved, away).astype(np.float32)
    boxes[:, 2:] = np.maximum(boxes[:, 2:], boxes[:, :2] + 1)
    correct = on & (random.random(len(on)) < 0.9)
    other = random.integers(0, CLASSES, len(on))
    found = np.where(correct, labels[origin], other).astype(np.int32)
    confidence = -np.sort(-random.beta(1, 4, (images, FOUND)), axis=1).ravel().astype(np.float32)
    return pa.table(
        {
            "image_index": pa.array(range(start, start + images), pa.int64()),
            "height": pa.array(np.full(images, 640, np.int32)),
            "width": pa.array(np.full(images, 640, np.int32)),
            "status": pa.array(["ok"] * images),
            "inference_time_ms": pa.array(np.ones(images, np.float32)),
            "true_boxes": _boxes(TRUE_BOXES, TRUE, true, labels, None),
            "predicted_boxes": _boxes(PREDICTED_BOXES, FOUND, boxes, found, confidence),
        }
    )


def _boxes(kind: Any, each: int, corners: Any, labels: Any, confidence: Any) -> pa.Array:
    values = {"class_id": labels, **dict(zip(("x1", "y1", "x2", "y2"), corners.T, strict=True))}
    if confidence is None:
        sides = corners[:, 2:] - corners[:, :2]
        values |= {"area": sides[:, 0] * sides[:, 1]}
        values |= dict.fromkeys(("is_crowd", "ignore"), np.zeros(len(labels), np.bool_))
    else:
        values["confidence"] = confidence
    fields = list(kind.value_type)
    arrays = [pa.array(values[field.name], field.type) for field in fields]
    offsets = pa.array(np.arange(0, len(labels) + 1, each, dtype=np.int32))
    return pa.ListArray.from_arrays(offsets, pa.StructArray.from_arrays(arrays, fields=fields))


def write_units(folder: Path, images: int) -> list[Path]:
    """Write the result files of a run with ``images`` images."""
    random = np.random.default_rng(0)
    paths = []
    for start in range(0, images, UNIT):
        paths.append(folder / f"{start:08d}.parquet")
        rows = min(UNIT, images - start)
        pq.write_table(unit_table(start, rows, random), paths[-1], compression="zstd")
    return paths


def finish(folder: str) -> None:
    """Compute the metrics of the files of a folder and print seconds and memory."""
    from snellen.adapters.types import TaskType
    from snellen.pipelines.config.metrics import MetricsConfig
    from snellen.pipelines.runs.measure import measure
    from snellen.pipelines.runs.slices import MetricsSpec
    from snellen.store.parquet.results import Results
    from snellen.store.parquet.unit_record import UnitRecord

    names = sorted(path.name for path in Path(folder).glob("*.parquet"))
    rows = [pq.ParquetFile(Path(folder) / name).metadata.num_rows for name in names]
    records = [
        UnitRecord(number, 0, count, name, "", count, 0, "", "", {}, {})
        for number, (name, count) in enumerate(zip(names, rows, strict=True))
    ]
    before = _peak_mb()
    started = time.perf_counter()
    names_of_classes = tuple(f"class {number}" for number in range(CLASSES))
    spec = MetricsSpec(TaskType(TASK), names_of_classes, MetricsConfig())
    columns = measure(Results(Path(folder), records), spec, sum(rows))
    seconds = time.perf_counter() - started
    found = {"seconds": seconds, "before": before, "peak": _peak_mb()}
    print(json.dumps({**found, "mAP": columns["primary_metric_value"]}))


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def coco_numbers(paths: list[Path]) -> float:
    """Compute COCO's mAP from result files, as Snellen does."""
    options = DetectionOptions(("bbox",))
    columns = list(instance_columns(options.kinds))
    states = []
    for path in paths:
        images = read_images(pq.read_table(path, columns=columns), "bbox", CLASSES)
        states.append(evaluate(images, "bbox", CLASSES, options))
    value = read_numbers(merge(states), "bbox", CLASSES, options).metrics["mAP50-95"]
    assert value is not None
    return value


def coco_objects(paths: list[Path]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Convert the boxes to the objects of pycocotools; not timed."""
    images: list[dict[str, Any]] = []
    true: list[dict[str, Any]] = []
    results: list[dict[str, Any]] = []
    for path in paths:
        for row in pq.read_table(path).to_pylist():
            image = row["image_index"]
            images.append({"id": image, "height": row["height"], "width": row["width"]})
            for box in row["true_boxes"]:
                common = {"image_id": image, "category_id": box["class_id"], "bbox": _xywh(box)}
                more = {"id": len(true) + 1, "iscrowd": 0, "area": box["area"]}
                true.append({**common, **more})
            for box in row["predicted_boxes"]:
                common = {"image_id": image, "category_id": box["class_id"], "bbox": _xywh(box)}
                results.append({**common, "score": box["confidence"]})
    categories = [{"id": number, "name": str(number)} for number in range(CLASSES)]
    return {"images": images, "annotations": true, "categories": categories}, results


def _xywh(box: dict[str, float]) -> list[float]:
    return [box["x1"], box["y1"], box["x2"] - box["x1"], box["y2"] - box["y1"]]


def peer(coco_class: Any, evaluator: Any, true: dict[str, Any], results: list[Any]) -> float:
    """Compute COCO's mAP with a package that has pycocotools' interface."""
    with contextlib.redirect_stdout(io.StringIO()):
        coco = coco_class()
        coco.dataset = true
        coco.createIndex()
        evaluation = evaluator(coco, coco.loadRes(results), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return float(evaluation.stats[0])


def timed(work: Callable[[], float]) -> tuple[float, float]:
    """Return the seconds of the faster of two runs, and the value."""
    seconds = []
    for _ in range(2):
        started = time.perf_counter()
        value = work()
        seconds.append(time.perf_counter() - started)
    return min(seconds), value


def main() -> int:
    """Measure, print the tables, and return 1 if the gate fails."""
    console = Console()
    with tempfile.TemporaryDirectory() as folder:
        console.print("writing 100,000 images with 2,000,000 detections ...")
        paths = write_units(Path(folder), 100_000)
        command = [sys.executable, "-m", "benchmarks.finish", folder]
        out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        found = json.loads(out)
        console.print(
            f"every metric of the run: {found['seconds']:.1f} s, peak {found['peak']:.0f} MB "
            f"({found['before']:.0f} MB before), mAP50-95 {found['mAP']:.4f}"
        )
        return side_by_side(console, paths[: 5_000 // UNIT])


def side_by_side(console: Console, paths: list[Path]) -> int:
    """Measure 5,000 images with all packages, print the table and return the exit code."""
    import faster_coco_eval
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    faster = faster_coco_eval.COCO, faster_coco_eval.COCOeval_faster
    true, results = coco_objects(paths)
    rows = {
        "snellen (from the result files)": timed(lambda: coco_numbers(paths)),
        "faster-coco-eval": timed(lambda: peer(*faster, true, results)),
        "pycocotools": timed(lambda: peer(COCO, COCOeval, true, results)),
    }
    slowest = rows["pycocotools"][0]
    table = Table(title="COCO metrics of 5,000 images with 100,000 detections")
    for name in ("", "seconds", "x pycocotools", "mAP50-95"):
        table.add_column(name, justify="right")
    for name, (seconds, value) in rows.items():
        table.add_row(name, f"{seconds:.2f}", f"{slowest / seconds:.1f}", f"{value:.12f}")
    console.print(table)
    speedup = slowest / rows["snellen (from the result files)"][0]
    console.print(f"{speedup:.1f} times as fast as pycocotools (at least {MIN_SPEEDUP})")
    return 0 if speedup >= MIN_SPEEDUP else 1


if __name__ == "__main__":
    if len(sys.argv) > 1:
        finish(sys.argv[1])
    else:
        sys.exit(main())
