"""COCO: a folder with the ground truth and the results, as pycocotools reads them.

``ground_truth.json`` has the images, the categories and the true objects; a run without labels has
``images.json`` in its place. ``results.json`` has the predictions of the task: boxes, masks (COCO
RLE) or keypoints. pycocotools takes the area of a detection from its box where the record has one,
so records of masks and keypoints have none, and their boxes are in ``bbox_results.json``.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import polars as pl

from snellen.adapters.types import ImageStatus, TaskType
from snellen.analysis.export.columnar import rows_of
from snellen.analysis.export.exporter import Exported, ExportRequest, spoken
from snellen.pipelines.tasks.registry import task_of

ID_COLUMN = "meta_coco_id"
"""Column with the image ids of a COCO dataset."""
_IGNORED_AREA = -1.0
"""Area outside of all ranges: pycocotools has no other mark for an ignored box or mask."""
_NEW_IDS = (
    f"Image ids are new, from 1: the column {ID_COLUMN} has repeated or missing values in the "
    "exported images."
)

Row = dict[str, Any]


class CocoExporter:
    """A folder with ``ground_truth.json`` and ``results.json``."""

    name = "coco"
    suffix = ""
    tasks = frozenset(
        {TaskType.OBJECT_DETECTION, TaskType.INSTANCE_SEGMENTATION, TaskType.POSE_ESTIMATION}
    )

    def write(self, request: ExportRequest, target: Path) -> Exported:
        """Write the files; failed images are not in them, as they are not in the metrics."""
        ids = _image_ids(request)
        left_out: Counter[str] = Counter()
        images = 0
        with _files(request, target) as files:
            for row in rows_of(request):
                if row["status"] != ImageStatus.OK:
                    left_out["failed_images"] += 1
                    continue
                images += 1
                image_id = row[ID_COLUMN] if ids == "kept" else images
                files.add_truth(image_id, row)
                skipped = files.add_predictions(image_id, row, request.min_confidence)
                if skipped:
                    left_out["objects_below_min_confidence"] += skipped
        return Exported(images, dict(left_out), (_NEW_IDS,) if ids == "unusable" else ())


def _image_ids(request: ExportRequest) -> str:
    """Return ``kept`` if the images have COCO ids, ``unusable`` for bad ones, else ``absent``."""
    chosen = request.results.filter(**request.chosen)
    kind = chosen.collect_schema().get(ID_COLUMN)
    if kind is None:
        return "absent"
    ids = chosen.filter(pl.col("status") == ImageStatus.OK).select(ID_COLUMN).collect()[ID_COLUMN]
    usable = kind.is_integer() and ids.null_count() == 0 and ids.n_unique() == len(ids)
    return "kept" if usable else "unusable"


class _Items:
    """Writer of the elements of a JSON array, one per line."""

    def __init__(self, file: IO[str]) -> None:
        self._file = file
        self.count = 0

    def add(self, value: Row) -> None:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False)
        self._file.write(f"{',' if self.count else ''}\n{text}")
        self.count += 1


class _Files:
    """The files of an export while they are written.

    Attributes:
        images, annotations: of the ground truth.
        results: predictions of the task.
        boxes: boxes of predictions whose results are masks or keypoints; None for a detector.
    """

    def __init__(self, files: Iterable[IO[str]], needs: frozenset[str]) -> None:
        self.images, self.annotations, self.results, *more = map(_Items, files)
        self.boxes = more[0] if more else None
        self._needs = needs

    def add_truth(self, image_id: int, row: Row) -> None:
        """Write an image and its true objects; the area is that of the labels, in pixels."""
        size = {"width": row["width"], "height": row["height"]}
        self.images.add({"id": image_id, "file_name": row["image_id"], **size})
        for number, box in enumerate(row["true_boxes"] or ()):
            ignored = box["ignore"] and not box["is_crowd"]
            record = {"id": self.annotations.count + 1, **_place(image_id, box)}
            record |= {"area": box["area"], "iscrowd": int(box["is_crowd"])}
            record |= self._shape(row, "true", number)
            if box["ignore"]:
                record["ignore"] = 1
            if ignored and "num_keypoints" in record:
                record["num_keypoints"] = 0  # its area is part of the OKS
            elif ignored:
                record["area"] = _IGNORED_AREA
            self.annotations.add(record)

    def add_predictions(self, image_id: int, row: Row, min_confidence: float) -> int:
        """Write the predicted objects of an image; return the number of skipped ones."""
        skipped = 0
        for number, box in enumerate(row["predicted_boxes"] or ()):
            if box["confidence"] < min_confidence:
                skipped += 1
                continue
            record = {**_place(image_id, box), "score": box["confidence"]}
            if self.boxes is None:
                self.results.add(record)
                continue
            self.boxes.add(record)
            shaped = record | self._shape(row, "predicted", number)
            del shaped["bbox"]
            shaped.pop("num_keypoints", None)
            self.results.add(shaped)
        return skipped

    def _shape(self, row: Row, side: str, number: int) -> Row:
        shape: Row = {}
        if "masks" in self._needs:
            counts = row[f"{side}_masks"][number].decode("ascii")
            shape["segmentation"] = {"size": [row["height"], row["width"]], "counts": counts}
        if "keypoints" in self._needs:
            points = row[f"{side}_keypoints"][number]
            shape["keypoints"] = [point[name] for point in points for name in "xyv"]
            shape["num_keypoints"] = sum(point["v"] > 0 for point in points)
        return shape


@contextmanager
def _files(request: ExportRequest, target: Path) -> Iterator[_Files]:
    """Open the files of an export, and complete them at the end of the block."""
    needs = task_of(request.run.task_type).needs
    name = "ground_truth.json" if request.labelled else "images.json"
    results = ["results.json", "bbox_results.json"] if needs else ["results.json"]
    categories = [{"id": n, "name": name} for n, name in enumerate(request.class_names, 1)]
    head = {"info": {"description": f"snellen {spoken(request.run)}"}, "categories": categories}
    opened: list[IO[str]] = []
    try:
        opened.append((target / name).open("x+", encoding="utf-8"))
        # annotations follow the images in one file: they wait here, not in memory
        opened.append(tempfile.TemporaryFile("w+", encoding="utf-8", dir=target))  # noqa: SIM115
        opened += [(target / result).open("x", encoding="utf-8") for result in results]
        truth, annotations, *arrays = opened
        truth.write(json.dumps(head, ensure_ascii=False)[:-1] + ', "images": [')
        for file in arrays:
            file.write("[")
        yield _Files(opened, needs)
        for file in arrays:
            file.write("\n]\n")
        truth.write("\n]")
        if request.labelled:
            annotations.seek(0)
            truth.write(', "annotations": [')
            shutil.copyfileobj(annotations, truth)
            truth.write("\n]")
        truth.write("}\n")
    finally:
        for file in opened:
            file.close()


def _place(image_id: int, box: Row) -> Row:
    """Return the record of a box: category ids count from 1, boxes are x, y, width, height."""
    x, y = box["x1"], box["y1"]
    return {
        "image_id": image_id,
        "category_id": box["class_id"] + 1,
        "bbox": [x, y, box["x2"] - x, box["y2"] - y],
    }
