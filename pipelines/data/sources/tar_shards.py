"""Reader of the headers and labels of a tar shard; images are located and not read."""

from __future__ import annotations

import json
import tarfile
from typing import Any

from snellen.adapters.errors import ErrorCode, InputError
from snellen.pipelines.data.sources.annotations import (
    LabelProblem,
    Targets,
    TrueBox,
    keypoints_of,
    mask_of_polygons,
)
from snellen.pipelines.data.walk import IMAGE_SUFFIXES
from snellen.pipelines.storage.remote_path import Place, open_binary

_LABEL_SUFFIXES = (".cls", ".txt", ".json")


class Member:
    """An image of a shard: its name, the position of its bytes, and its label."""

    def __init__(self, name: str, offset: int, length: int) -> None:
        self.name = name
        self.offset = offset
        self.length = length
        self.label: str | Targets | LabelProblem | None = None


def read_members(shard: Place) -> list[Member]:
    """Return the images of a shard with the labels that share their key.

    Raises:
        InputError: DATASET_UNREADABLE, a missing file or no tar file.
    """
    images: dict[str, Member] = {}
    labels: dict[str, str | Targets | LabelProblem] = {}
    try:
        with open_binary(shard) as file, tarfile.open(fileobj=file, mode="r:") as tar:
            for entry in tar:
                key, suffix = _split(entry.name)
                if not entry.isfile():
                    continue
                if suffix in IMAGE_SUFFIXES:
                    images[key] = Member(entry.name, entry.offset_data, entry.size)
                elif suffix in _LABEL_SUFFIXES:
                    label = tar.extractfile(entry)
                    labels[key] = _parse_label(label.read() if label else b"", suffix)
    except (tarfile.TarError, OSError) as error:
        raise InputError(
            "DATASET_UNREADABLE",
            f"dataset.path: shard '{shard}' cannot be read: {error}. Expected a tar file.",
        ) from None
    for key, member in images.items():
        member.label = labels.get(key)
    return list(images.values())


def _split(name: str) -> tuple[str, str]:
    """Return key and suffix; the suffix starts at the first dot of the base name."""
    folder, _, base = name.rpartition("/")
    stem, point, suffix = base.partition(".")
    return f"{folder}/{stem}", f"{point}{suffix}".lower()


def _parse_label(data: bytes, suffix: str) -> str | Targets | LabelProblem:
    try:
        text = data.decode("utf-8").strip()
        if suffix != ".json":
            return text
        document = json.loads(text)
        if isinstance(document, dict) and "boxes" in document:
            return _parse_targets(document)
        label = document["label"] if isinstance(document, dict) else document
        if not isinstance(label, str | int):
            raise ValueError(f"{label!r} is neither a name nor a class id")
        return str(label)
    except LabelProblem as problem:
        return problem
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        return LabelProblem(ErrorCode.LABEL_INVALID, f"the label is malformed: {error}")


def _parse_targets(document: dict[str, Any]) -> Targets:
    masks, keypoints = document.get("masks"), document.get("keypoints")
    found = Targets()
    for number, box in enumerate(document["boxes"]):
        corners = (float(box["x1"]), float(box["y1"]), float(box["x2"]), float(box["y2"]))
        area = box.get("area")
        found.boxes.append(
            TrueBox(
                int(box["class_id"]),
                corners,
                area=None if area is None else float(area),
                is_crowd=bool(box.get("is_crowd", False)),
                ignore=bool(box.get("ignore", False)),
            ).to_row(f"box {number}")
        )
    if masks is not None:
        size = int(document["height"]), int(document["width"])
        found.masks = [mask_of_polygons(polygons, *size) for polygons in masks]
    if keypoints is not None:
        found.keypoints = [
            keypoints_of([v for point in points for v in point]) for points in keypoints
        ]
    return found
