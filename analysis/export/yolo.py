"""YOLO: one text file per image, one line per prediction, as Ultralytics' ``save_txt`` writes them.

A line is ``class xc yc w h``, then ``x y confidence`` of each keypoint, then the confidence of the
object. Coordinates are fractions of the upright image.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import yaml

from snellen.adapters.types import ImageStatus, TaskType
from snellen.analysis.export.columnar import rows_of
from snellen.analysis.export.exporter import Exported, ExportRequest
from snellen.analysis.export.safe_names import UniqueNames, safe_name

LABELS = "labels"
"""Folder of the text files; they have the paths of their images."""


class YoloExporter:
    """A folder with a text file of predictions per image, and ``data.yaml`` with the classes.

    Masks are not supported: an outline cannot hold their holes and separate parts.
    """

    name = "yolo"
    suffix = ""
    tasks = frozenset({TaskType.OBJECT_DETECTION, TaskType.POSE_ESTIMATION})

    def write(self, request: ExportRequest, target: Path) -> Exported:
        """Write the folder; an image without predictions has an empty file, a failed one none."""
        left_out: Counter[str] = Counter()
        names = UniqueNames()
        images = 0
        data: dict[str, Any] = {"names": dict(enumerate(request.class_names))}
        for row in rows_of(request):
            if row["status"] != ImageStatus.OK:
                left_out["failed_images"] += 1
                continue
            name = Path(safe_name(row["image_id"])).with_suffix(".txt").as_posix()
            file = target / LABELS / names.add(name, row["image_id"])
            file.parent.mkdir(parents=True, exist_ok=True)
            lines, skipped = _lines(row, request.min_confidence)
            file.write_text("".join(lines), encoding="utf-8", newline="\n")
            images += 1
            if skipped:
                left_out["objects_below_min_confidence"] += skipped
            for points in row["predicted_keypoints"] or ():
                data["kpt_shape"] = [len(points), 3]
        text = yaml.safe_dump(data, sort_keys=False, allow_unicode=True)
        (target / "data.yaml").write_text(text, encoding="utf-8")
        return Exported(images, dict(left_out))


def _lines(row: dict[str, Any], min_confidence: float) -> tuple[list[str], int]:
    """Return the lines of an image, and the number of objects below the minimum confidence."""
    boxes = row["predicted_boxes"] or []
    poses = row["predicted_keypoints"] or [[]] * len(boxes)
    lines = []
    for box, points in zip(boxes, poses, strict=True):
        if box["confidence"] < min_confidence:
            continue
        w, h = row["width"], row["height"]
        values = [
            (box["x1"] + box["x2"]) / 2 / w,
            (box["y1"] + box["y2"]) / 2 / h,
            (box["x2"] - box["x1"]) / w,
            (box["y2"] - box["y1"]) / h,
        ]
        for point in points:
            values += [point["x"] / w, point["y"] / h, point["v"]]
        words = [f"{value:.9g}" for value in (*values, box["confidence"])]
        lines.append(f"{box['class_id']} {' '.join(words)}\n")
    return lines, len(boxes) - len(lines)
