"""A COCO dataset with outlines and keypoints, and results of a made-up model on it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from pycocotools import mask

from tests.pipelines.making import write_image

SIDE, POINTS = 40, 3
CATEGORIES = ((7, "cat"), (3, "dog"), (11, "cow"))
"""Ids are sparse and not in the order of the names."""


def write_dataset(folder: Path, images: int = 6, seed: int = 0) -> Path:
    """Write images, a COCO file (ids from 100), and return the file."""
    random = np.random.default_rng(seed)
    records: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for number in range(images):
        write_image(folder / "images" / f"{number:03}.png", 60 + number, size=(SIDE, SIDE))
        name = f"{number:03}.png"
        records.append({"id": 100 + number, "file_name": name, "width": SIDE, "height": SIDE})
        for _ in range(int(random.integers(1, 4))):
            box = _box(random)
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": 100 + number,
                    "category_id": int(random.choice([one for one, _ in CATEGORIES])),
                    "iscrowd": 0,
                    **_shape(random, box, visible=2),
                }
            )
    points = [f"p{number}" for number in range(POINTS)]
    categories = [{"id": one, "name": name, "keypoints": points} for one, name in CATEGORIES]
    document = {"images": records, "annotations": annotations, "categories": categories}
    path = folder / "instances.json"
    path.write_text(json.dumps(document))
    return path


def results_of(dataset: Path, kind: str, seed: int = 1) -> list[dict[str, Any]]:
    """Return results near the objects, with some of a wrong class and some on nothing."""
    random = np.random.default_rng(seed)
    document = json.loads(dataset.read_text())
    ids = [one for one, _ in CATEGORIES]
    results = []
    for annotation in document["annotations"]:
        for _ in range(2):
            moved = np.clip(np.array(annotation["bbox"]) + random.normal(0, 1.5, 4), 1, SIDE - 2)
            if random.random() < 0.3:
                moved = np.array(_box(random))
            right = random.random() < 0.7
            category = annotation["category_id"] if right else int(random.choice(ids))
            record = {
                "image_id": annotation["image_id"],
                "category_id": category,
                "score": round(float(random.random()), 3),
            }
            shape = _shape(random, moved.round(2).tolist(), visible=0.9)
            wanted = {"bbox": ["bbox"], "segm": ["segmentation"], "keypoints": ["keypoints"]}[kind]
            results.append(record | {key: shape[key] for key in wanted})
            if kind == "segm":
                results[-1]["segmentation"] = _rle(shape["segmentation"])
    return results


def _box(random: np.random.Generator) -> list[float]:
    left, top = random.integers(0, 20, 2).tolist()
    width, height = random.integers(8, 20, 2).tolist()
    return [float(left), float(top), float(width), float(height)]


def _shape(random: np.random.Generator, box: list[float], visible: float) -> dict[str, Any]:
    x, y, width, height = box
    points = random.random((POINTS, 2)) * (width, height) + (x, y)
    flat = [value for px, py in points.round(2).tolist() for value in (px, py, visible)]
    outline = [[x, y, x + width, y, x + width, y + height, x, y + height]]
    return {
        "bbox": box,
        "area": width * height,
        "segmentation": outline,
        "keypoints": flat,
        "num_keypoints": POINTS,
    }


def _rle(outline: list[list[float]]) -> dict[str, Any]:
    found = mask.merge(mask.frPyObjects(outline, SIDE, SIDE))
    return {"size": [SIDE, SIDE], "counts": found["counts"].decode()}
