"""Label Studio: predictions to review or correct, with the ground truth as annotations.

Source of the format: https://labelstud.io/guide/predictions and https://labelstud.io/guide/export.
Places and sizes are per cent of the upright image.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote
from xml.sax.saxutils import quoteattr

from snellen.adapters.types import ImageStatus, TaskType
from snellen.analysis.export.columnar import rows_of
from snellen.analysis.export.exporter import Exported, ExportRequest, spoken
from snellen.pipelines.storage.address import is_remote

TASKS, CONFIG = "tasks.json", "config.xml"
NAME, OBJECT = "label", "image"
"""Names of the control and of the image in the labelling configuration."""
_LOCAL = "/data/local-files/?d="

Row = dict[str, Any]


class LabelStudioExporter:
    """A folder with ``tasks.json`` to import, and ``config.xml``, the labelling configuration."""

    name = "label-studio"
    suffix = ""
    tasks = frozenset({TaskType.IMAGE_CLASSIFICATION, TaskType.OBJECT_DETECTION})

    def write(self, request: ExportRequest, target: Path) -> Exported:
        """Write the files; failed images are not in them."""
        left_out: Counter[str] = Counter()
        images, boxes = 0, False
        with (target / TASKS).open("x", encoding="utf-8", newline="\n") as file:
            file.write("[")
            for row in rows_of(request):
                if row["status"] != ImageStatus.OK:
                    left_out["failed_images"] += 1
                    continue
                boxes = boxes or row["predicted_boxes"] is not None
                task, skipped = _task(row, request)
                text = json.dumps(task, ensure_ascii=False, allow_nan=False)
                file.write(f"{',' if images else ''}\n{text}")
                images += 1
                if skipped:
                    left_out["objects_below_min_confidence"] += skipped
            file.write("\n]\n")
        (target / CONFIG).write_text(_config(request.class_names, boxes=boxes), encoding="utf-8")
        return Exported(images, dict(left_out))


def _task(row: Row, request: ExportRequest) -> tuple[Row, int]:
    """Return the task of an image, and the number of objects below the minimum confidence."""
    names = request.class_names
    version = f"{request.run.name or 'snellen'} ({spoken(request.run)})"
    found = row["predicted_boxes"]
    if found is None:
        confidence = row["confidence"]
        predicted = [_choice("p", row["predicted_label"], confidence)]
        scores, skipped = [confidence], 0
    else:
        kept = [box for box in found if box["confidence"] >= request.min_confidence]
        predicted = [_box("p", n, box, row, names) for n, box in enumerate(kept)]
        scores, skipped = [box["confidence"] for box in kept], len(found) - len(kept)
    task: Row = {
        "data": {"image": image_address(row), "image_id": row["image_id"]},
        "predictions": [
            {"model_version": version, "score": max(scores, default=0.0), "result": predicted}
        ],
    }
    truth = list(_truth(row, names))
    if request.labelled:
        task["annotations"] = [{"ground_truth": True, "result": truth}]
    return task, skipped


def _truth(row: Row, names: list[str]) -> Iterator[Row]:
    if row["true_label"] is not None:
        yield _choice("t", row["true_label"])
    for number, box in enumerate(row["true_boxes"] or ()):
        yield _box("t", number, box, row, names)


def image_address(row: Row) -> str:
    """Return the address under which Label Studio finds an image.

    A local file is looked up by its id below the folder that Label Studio serves
    (LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT), which is the root of the dataset.

    >>> image_address({"image_path": "/data/a b.png", "image_id": "a b.png"})
    '/data/local-files/?d=a%20b.png'
    """
    path = str(row["image_path"])
    return path if is_remote(path) else _LOCAL + quote(row["image_id"])


def _choice(side: str, label: str, score: float | None = None) -> Row:
    region: Row = {
        "id": side,
        "type": "choices",
        "from_name": NAME,
        "to_name": OBJECT,
        "value": {"choices": [label]},
    }
    return region if score is None else region | {"score": score}


def _box(side: str, number: int, box: Row, row: Row, names: list[str]) -> Row:
    width, height = row["width"], row["height"]
    region: Row = {
        "id": f"{side}{number}",
        "type": "rectanglelabels",
        "from_name": NAME,
        "to_name": OBJECT,
        "original_width": width,
        "original_height": height,
        "image_rotation": 0,
        "value": {
            "x": 100 * box["x1"] / width,
            "y": 100 * box["y1"] / height,
            "width": 100 * (box["x2"] - box["x1"]) / width,
            "height": 100 * (box["y2"] - box["y1"]) / height,
            "rotation": 0,
            "rectanglelabels": [names[box["class_id"]]],
        },
    }
    confidence = box.get("confidence")
    return region if confidence is None else region | {"score": confidence}


def _config(names: list[str], *, boxes: bool) -> str:
    control, item = ("RectangleLabels", "Label") if boxes else ("Choices", "Choice")
    lines = [
        "<View>",
        f'  <Image name="{OBJECT}" value="${OBJECT}"/>',
        f'  <{control} name="{NAME}" toName="{OBJECT}">',
        *(f"    <{item} value={quoteattr(name)}/>" for name in names),
        f"  </{control}>",
        "</View>",
    ]
    return "\n".join(lines) + "\n"
