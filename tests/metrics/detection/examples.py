"""Made-up results of a detector, as result rows and as a COCO dataset, and COCO's own answer."""

from __future__ import annotations

import contextlib
import copy
import io
from typing import Any

import numpy as np
import pyarrow as pa
from pycocotools import mask as masks
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from snellen.metrics.detection.metrics import DetectionReport
from snellen.metrics.tasks import load
from snellen.store.parquet.schema import RESULT_SCHEMA

SIZE = 160
TASK = {
    "bbox": "object_detection",
    "segm": "instance_segmentation",
    "keypoints": "pose_estimation",
}
PREFIX = {"bbox": "", "segm": "mask_", "keypoints": "oks_"}
BOX_KEYS = (
    *("mAP50-95", "mAP50", "mAP75", "mAP_small", "mAP_medium", "mAP_large"),
    *("mAR_1", "mAR_10", "mAR_100", "mAR_small", "mAR_medium", "mAR_large"),
)
POSE_KEYS = (
    *("mAP50-95", "mAP50", "mAP75", "mAP_medium", "mAP_large"),
    *("mAR", "mAR50", "mAR75", "mAR_medium", "mAR_large"),
)


def keys(kind: str) -> list[str]:
    """The metric keys of a kind, in the order of pycocotools' stats."""
    return [PREFIX[kind] + key for key in (POSE_KEYS if kind == "keypoints" else BOX_KEYS)]


def truth(class_id: int, *box: float, crowd: bool = False, ignore: bool = False) -> dict[str, Any]:
    x1, y1, x2, y2 = box
    return {
        "class_id": class_id,
        **{"x1": x1, "y1": y1, "x2": x2, "y2": y2, "area": (x2 - x1) * (y2 - y1)},
        "is_crowd": crowd,
        "ignore": ignore,
    }


def found(class_id: int, *box: float, confidence: float = 0.9) -> dict[str, Any]:
    x1, y1, x2, y2 = box
    return {
        "class_id": class_id,
        **{"x1": x1, "y1": y1, "x2": x2, "y2": y2},
        "confidence": float(np.float32(confidence)),
    }


def row(
    index: int,
    true: list[dict[str, Any]] | None,
    predicted: list[dict[str, Any]] | None,
    **more: Any,
) -> dict[str, Any]:
    return {
        "image_index": index,
        "image_id": f"{index}.png",
        "height": SIZE,
        "width": SIZE,
        "status": "ok",
        "true_boxes": true,
        "predicted_boxes": predicted,
        **more,
    }


def table(rows: list[dict[str, Any]]) -> pa.Table:
    return pa.Table.from_pylist(rows, schema=RESULT_SCHEMA)


def report(rows: list[dict[str, Any]], task: str, classes: int, **options: Any) -> DetectionReport:
    """The report of one pass, without bootstrap unless asked."""
    metrics = load(task, **{"bootstrap": 0, **options})
    names = [f"class-{i}" for i in range(classes)]
    state = metrics.state(table(rows).select(list(metrics.columns)), names)
    found: DetectionReport = metrics.compute(state, names, total_images=len(rows), failed_images=0)
    return found


def _box(random: np.random.Generator) -> list[float]:
    # few corners and sizes: many equal overlaps
    left, top = (random.integers(0, 10, 2) * 8).tolist()
    width, height = random.choice([8, 16, 24, 40, 64, 112], 2).tolist()
    return [float(left), float(top), float(left + width), float(top + height)]


def _moved(random: np.random.Generator, box: list[float]) -> list[float]:
    if random.random() < 0.4:
        return box
    corners = (np.asarray(box) + random.normal(0, 3, 4)).astype(np.float32)
    # a box turned inside out has an area that COCO's ranges leave out
    corners[2:] = np.maximum(corners[2:], corners[:2] + 1)
    return [float(value) for value in corners]


def _points(random: np.random.Generator, box: list[float], count: int) -> list[list[float]]:
    x, y = random.uniform(box[0], box[2], count), random.uniform(box[1], box[3], count)
    seen = random.integers(0, 3, count) * (random.random() < 0.85)
    return np.stack([x, y, seen], 1).astype(np.float32).tolist()  # type: ignore[no-any-return]


def _shaken(random: np.random.Generator, points: list[list[float]]) -> list[list[float]]:
    noise = random.normal(0, random.choice([0, 1, 4]), (len(points), 3))
    return (np.asarray(points) + noise).astype(np.float32).tolist()  # type: ignore[no-any-return]


def _rle(random: np.random.Generator, box: list[float]) -> bytes:
    mask = np.zeros((SIZE, SIZE), dtype=np.uint8, order="F")
    x1, y1, x2, y2 = (round(max(0.0, min(SIZE, value))) for value in box)
    mask[y1:y2, x1:x2] = 1
    if random.random() < 0.5:
        mask[y1 : (y1 + y2) // 2, x1 : (x1 + x2) // 2] = 0
    return bytes(masks.encode(mask)["counts"])


def draw(
    seed: int, kind: str, *, images: int = 5, classes: int = 3, points: int = 17
) -> list[dict[str, Any]]:
    """Rows with ties, crowds, ignored truths, empty images, absent classes and failures."""
    random = np.random.default_rng(seed)
    rows = []
    for index in random.permutation(40)[:images].tolist():
        true_boxes = [_box(random) for _ in range(random.integers(0, 7))]
        # class K - 1 is never true
        true = [
            truth(
                int(random.integers(0, max(1, classes - 1))),
                *box,
                crowd=bool(random.random() < 0.12),
                ignore=bool(random.random() < 0.1),
            )
            for box in true_boxes
        ]
        many = 130 if random.random() < 0.05 else int(random.integers(0, 14))
        sources = random.integers(0, len(true), many).tolist() if true else [-1] * many
        boxes = [_moved(random, true_boxes[s]) if s >= 0 else _box(random) for s in sources]
        right = [true[s]["class_id"] if s >= 0 and random.random() < 0.8 else -1 for s in sources]
        predicted = [
            found(
                right[i] if right[i] >= 0 else int(random.integers(0, classes)),
                *box,
                confidence=round(float(random.random()), 1 if random.random() < 0.7 else 6),
            )
            for i, box in enumerate(boxes)
        ]
        order = sorted(range(many), key=lambda i: -predicted[i]["confidence"])
        more: dict[str, Any] = {}
        if kind == "segm":
            more["true_masks"] = [_rle(random, box) for box in true_boxes]
            more["predicted_masks"] = [_rle(random, boxes[i]) for i in order]
        if kind == "keypoints":
            posed = [_points(random, box, points) for box in true_boxes]
            shaken = [
                _shaken(random, posed[s] if s >= 0 else _points(random, boxes[i], points))
                for i, s in enumerate(sources)
            ]
            more["true_keypoints"] = [_named(pose) for pose in posed]
            more["predicted_keypoints"] = [_named(shaken[i]) for i in order]
        rows.append(row(index, true, [predicted[i] for i in order], **more))
    return rows


def _named(points: list[list[float]]) -> list[dict[str, float]]:
    return [dict(zip("xyv", point, strict=True)) for point in points]


def coco_stats(
    rows: list[dict[str, Any]],
    kind: str,
    classes: int,
    sigmas: Any = None,
    **params: Any,
) -> COCOeval | None:
    """pycocotools' evaluation of the same rows, or None where it has no prediction to read.

    ``max_dets`` and ``cat_ids`` are its parameters ``maxDets`` and ``catIds``.
    """
    true, predicted = _annotations(rows, kind)
    if not predicted:
        return None
    with contextlib.redirect_stdout(io.StringIO()):
        data = COCO()
        data.dataset = {
            "images": [
                {"id": r["image_index"], "height": r["height"], "width": r["width"]} for r in rows
            ],
            "annotations": true,
            "categories": [{"id": i, "name": str(i)} for i in range(classes)],
        }
        data.createIndex()
        evaluation = COCOeval(data, data.loadRes(copy.deepcopy(predicted)), kind)
        if sigmas is not None:
            evaluation.params.kpt_oks_sigmas = np.asarray(sigmas, dtype=np.float64)
        evaluation.params.maxDets = params.get("max_dets", evaluation.params.maxDets)
        evaluation.params.catIds = params.get("cat_ids", evaluation.params.catIds)
        evaluation.evaluate()
        evaluation.accumulate()
        if "max_dets" not in params:  # its summary knows COCO's limits alone
            evaluation.summarize()
    return evaluation


def _annotations(
    rows: list[dict[str, Any]], kind: str
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    true: list[dict[str, Any]] = []
    predicted: list[dict[str, Any]] = []
    for r in rows:
        for i, box in enumerate(r["true_boxes"]):
            true.append(_place(r, box) | {"id": len(true) + 1, "iscrowd": int(box["is_crowd"])})
            # pycocotools has no ignored truths but those of an area outside all ranges
            drop = box["ignore"] and not box["is_crowd"]
            true[-1]["area"] = -1 if drop and kind != "keypoints" else box["area"]
            true[-1] |= _shape(r, "true", i, kind, drop)
        for i, box in enumerate(r["predicted_boxes"]):
            predicted.append(_place(r, box) | {"score": box["confidence"]})
            predicted[-1] |= _shape(r, "predicted", i, kind, False)
            if kind != "bbox":
                del predicted[-1]["bbox"]
    return true, predicted


def _place(r: dict[str, Any], box: dict[str, Any]) -> dict[str, Any]:
    x1, y1, x2, y2 = (float(np.float32(box[name])) for name in ("x1", "y1", "x2", "y2"))
    return {
        "image_id": r["image_index"],
        "category_id": box["class_id"],
        "bbox": [x1, y1, x2 - x1, y2 - y1],
    }


def _shape(r: dict[str, Any], side: str, i: int, kind: str, drop: bool) -> dict[str, Any]:
    if kind == "segm":
        rle = r[f"{side}_masks"][i]
        return {"segmentation": {"size": [r["height"], r["width"]], "counts": rle}}
    if kind == "bbox":
        return {}
    points = [[point[name] for name in "xyv"] for point in r[f"{side}_keypoints"][i]]
    seen = 0 if drop else sum(point[2] > 0 for point in points)
    return {"keypoints": [value for point in points for value in point], "num_keypoints": seen}
