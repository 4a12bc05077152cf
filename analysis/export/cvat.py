"""CVAT for images 1.1: predictions as annotations of a CVAT task.

Source of the format: https://docs.cvat.ai/docs/dataset_management/formats/format-cvat/
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from io import TextIOBase
from pathlib import Path
from typing import Any, TextIO, cast
from xml.sax.saxutils import XMLGenerator
from xml.sax.xmlreader import AttributesImpl

import numpy as np
import numpy.typing as npt

from snellen.adapters.types import ImageStatus
from snellen.analysis.export.columnar import ALL_TASKS, rows_of
from snellen.analysis.export.exporter import Exported, ExportRequest, spoken
from snellen.pipelines.visualization.masks import decode_mask

Row = dict[str, Any]


class CvatExporter:
    """One XML file: tags of classified images, boxes, masks, or boxes with points of poses.

    Each has an attribute ``confidence``.
    """

    name = "cvat"
    suffix = ".xml"
    tasks = ALL_TASKS

    def write(self, request: ExportRequest, target: Path) -> Exported:
        """Write the file; failed images are not in it."""
        left_out: Counter[str] = Counter()
        images = 0
        with target.open("x", encoding="utf-8", newline="\n") as file:
            writer = _Writer(file)
            writer.head(request)
            for row in rows_of(request):
                if row["status"] != ImageStatus.OK:
                    left_out["failed_images"] += 1
                    continue
                skipped = writer.image(images, row, request)
                images += 1
                if skipped:
                    left_out["objects_below_min_confidence"] += skipped
            writer.end()
        return Exported(images, dict(left_out))


class _Writer:
    """Writes elements as they come, each image on lines of its own."""

    def __init__(self, file: TextIO) -> None:
        self._xml = XMLGenerator(
            cast(TextIOBase, file), encoding="utf-8", short_empty_elements=True
        )

    def head(self, request: ExportRequest) -> None:
        self._xml.startDocument()
        self._open("annotations")
        self._text("version", "1.1")
        self._open("meta")
        self._open("task")
        self._text("name", request.run.name or spoken(request.run))
        self._open("labels")
        for name in request.class_names:
            self._open("label")
            self._text("name", name)
            self._open("attributes")
            self._open("attribute")
            for key, value in (
                ("name", "confidence"), ("mutable", "False"), ("input_type", "number"),
                ("default_value", "0"), ("values", "0;1;0.000001"),
            ):  # fmt: skip
                self._text(key, value)
            for element in ("attribute", "attributes", "label"):
                self._close(element)
        for element in ("labels", "task", "meta"):
            self._close(element)

    def end(self) -> None:
        self._close("annotations")
        self._xml.endDocument()

    def image(self, number: int, row: Row, request: ExportRequest) -> int:
        """Write an image; return the number of objects below the minimum confidence."""
        size = {"width": row["width"], "height": row["height"]}
        self._open("image", {"id": number, "name": row["image_id"], **size})
        skipped = 0
        if row["predicted_label"] is not None:
            self._shape("tag", row["predicted_label"], {}, row["confidence"])
        for place, box in enumerate(row["predicted_boxes"] or ()):
            if box["confidence"] < request.min_confidence:
                skipped += 1
                continue
            self._object(row, place, request.class_names[box["class_id"]])
        self._close("image")
        return skipped

    def _object(self, row: Row, place: int, label: str) -> None:
        box = row["predicted_boxes"][place]
        group = {}
        if row["predicted_keypoints"] is not None:
            group = {"group_id": place + 1}
            points = row["predicted_keypoints"][place]
            text = ";".join(f"{point['x']:.2f},{point['y']:.2f}" for point in points)
            self._shape("points", label, _drawn({"points": text, **group}), box["confidence"])
        if row["predicted_masks"] is not None:
            mask = decode_mask(row["predicted_masks"][place], row["height"], row["width"])
            found = mask_attributes(mask)
            if found is not None:
                self._shape("mask", label, _drawn(found), box["confidence"])
            return
        corners = {"xtl": box["x1"], "ytl": box["y1"], "xbr": box["x2"], "ybr": box["y2"]}
        texts = {name: f"{value:.2f}" for name, value in corners.items()}
        self._shape("box", label, _drawn({**texts, **group}), box["confidence"])

    def _shape(
        self, name: str, label: str, attributes: Mapping[str, Any], confidence: float
    ) -> None:
        self._open(name, {"label": label, "source": "auto", **attributes})
        self._text("attribute", f"{confidence:.6f}", {"name": "confidence"})
        self._close(name)

    def _open(self, name: str, attributes: Mapping[str, Any] | None = None) -> None:
        texts = {key: str(value) for key, value in (attributes or {}).items()}
        self._xml.startElement(name, AttributesImpl(texts))
        self._xml.characters("\n")

    def _close(self, name: str) -> None:
        self._xml.endElement(name)
        self._xml.characters("\n")

    def _text(self, name: str, text: str, attributes: Mapping[str, str] | None = None) -> None:
        self._xml.startElement(name, AttributesImpl(dict(attributes or {})))
        self._xml.characters(text)
        self._close(name)


def _drawn(attributes: Mapping[str, Any]) -> dict[str, Any]:
    return {"occluded": 0, "z_order": 0, **attributes}


def mask_attributes(mask: npt.NDArray[np.bool_]) -> dict[str, Any] | None:
    """Return the place and the runs of a mask; None for an empty one.

    Args:
        mask: bool, (height, width).

    Returns:
        ``left, top, width, height`` of its bounding box, and ``rle``: the lengths of the runs in
        the box, row by row, of pixels outside and inside in turn, outside first.

    Example:
        >>> mask_attributes(np.array([[0, 0, 0], [0, 1, 1], [0, 0, 1]], dtype=bool))
        {'rle': '0, 2, 1, 1', 'left': 1, 'top': 1, 'width': 2, 'height': 2}
    """
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    if not len(rows):
        return None
    top, left = int(rows[0]), int(columns[0])
    part = mask[top : int(rows[-1]) + 1, left : int(columns[-1]) + 1]
    flat = part.ravel()
    edges = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    runs = np.diff(np.concatenate([[0], edges, [flat.size]])).tolist()
    if flat[0]:
        runs = [0, *runs]
    height, width = part.shape
    text = ", ".join(map(str, runs))
    return {"rle": text, "left": left, "top": top, "width": width, "height": height}
