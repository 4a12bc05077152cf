"""Tar shards: members that share a key are one image, ``000001.jpg`` with ``000001.cls``.

Only headers are read when the manifest is made; a worker later reads an image's bytes at its
offset. So one bad member is one failed row, and a shard needs no unpacking. Labels: ``.cls`` (a
class id or name), ``.txt`` (a name), or ``.json`` with ``label``, or with ``boxes`` as in the
result rows plus optional ``masks`` (polygons) and ``keypoints``, in pixels, and ``height, width``.
"""

from __future__ import annotations

import glob
import json
import tarfile
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from adapters.types import ErrorCode, InputError
from pipelines.sources.base import DatasetInfo, Source
from pipelines.sources.listing import IMAGE_SUFFIXES, escape_id, sort_key
from pipelines.sources.targets import (
    LabelProblem,
    Targets,
    keypoints_of,
    mask_of_polygons,
    target_columns,
    true_box,
)

_LABEL_SUFFIXES = (".cls", ".txt", ".json")
_CLASSES_FILE = "classes.txt"


class WebDatasetSource(Source):
    """``dataset: {format: webdataset, path: FOLDER or GLOB}``; shards in natural order.

    Class names come from ``classes.txt`` beside the shards (a name a line, in order of the ids);
    without it names are the distinct labels.
    """

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """A tar file, or a folder of them."""
        return path.suffix == ".tar" or (path.is_dir() and any(path.glob("*.tar")))

    def describe(self) -> DatasetInfo:
        """Find the shards and the classes.

        Raises:
            InputError: no shard, or one that is not a tar file.
        """
        names = self._names
        if names is not None:
            return DatasetInfo(self._root, None, names, class_order=_CLASSES_FILE)
        distinct: set[str] = set()
        for shard in self._shards:
            for member in _members(shard):
                if isinstance(member.label, str):
                    distinct.add(member.label)
                elif isinstance(member.label, Targets):
                    raise InputError(
                        "DATASET_CLASSES",
                        f"'{self._root}': shards with boxes need {_CLASSES_FILE} beside them.",
                    )
        are_ids = bool(distinct) and all(label.isdecimal() for label in distinct)
        order = "natural" if are_ids else self.config.class_order
        classes = tuple(sorted(distinct, key=sort_key(order)))  # type: ignore[arg-type]
        return DatasetInfo(
            self._root, None, classes or None, labels_are_ids=are_ids, class_order=order
        )

    def batches(self, info: DatasetInfo) -> Iterator[dict[str, Sequence[Any]]]:
        """One batch a shard, members in their order."""
        index = {name: number for number, name in enumerate(info.classes or ())}
        for shard in self._shards:
            members = list(_members(shard))
            stat = shard.stat()
            labels = [self._label(member) for member in members]
            prefix = shard.relative_to(self._root).as_posix()
            targets: list[Targets | LabelProblem] = [
                m.label if isinstance(m.label, Targets | LabelProblem) else Targets()
                for m in members
            ]
            columns = target_columns(targets)
            yield {
                "image_id": [f"{prefix}/{escape_id(member.name)}" for member in members],
                "location": [str(shard)] * len(members),
                "shard": [prefix] * len(members),
                "offset": [member.offset for member in members],
                "length": [member.length for member in members],
                "size": [stat.st_size] * len(members),
                "mtime_ns": [stat.st_mtime_ns] * len(members),
                "label": labels,
                "label_id": [index.get(label) if label else None for label in labels],
                **columns,
            }

    def _label(self, member: _Member) -> str | None:
        if not isinstance(member.label, str):
            return None
        names = self._names
        if names is not None and member.label.isdecimal() and int(member.label) < len(names):
            return names[int(member.label)]
        return member.label

    @cached_property
    def _names(self) -> tuple[str, ...] | None:
        file = self._root / _CLASSES_FILE
        if not file.is_file():
            return None
        lines = file.read_text("utf-8").splitlines()
        return tuple(line.strip() for line in lines if line.strip())

    @cached_property
    def _root(self) -> Path:
        return self._shards[0].parent

    @cached_property
    def _shards(self) -> list[Path]:
        path = str(Path(self.config.path).expanduser().absolute())
        found = glob.glob(f"{path}/*.tar") if Path(path).is_dir() else glob.glob(path)  # noqa: PTH207
        if not found:
            raise InputError("DATASET_EMPTY", f"dataset.path: '{path}' has no .tar shards.")
        return [Path(shard) for shard in sorted(found, key=sort_key("natural"))]  # type: ignore[arg-type]


class _Member:
    """One image of a shard: its name, where its bytes lie, and its label."""

    def __init__(self, name: str, offset: int, length: int) -> None:
        self.name = name
        self.offset = offset
        self.length = length
        self.label: str | Targets | LabelProblem | None = None


def _members(shard: Path) -> Iterator[_Member]:
    """The images of a shard with the labels that share their key."""
    images: dict[str, _Member] = {}
    labels: dict[str, str | Targets | LabelProblem] = {}
    try:
        with tarfile.open(shard, "r:") as tar:
            for entry in tar:
                key, suffix = _split(entry.name)
                if not entry.isfile():
                    continue
                if suffix in IMAGE_SUFFIXES:
                    images[key] = _Member(entry.name, entry.offset_data, entry.size)
                elif suffix in _LABEL_SUFFIXES:
                    file = tar.extractfile(entry)
                    labels[key] = _parse_label(file.read() if file else b"", suffix)
    except (tarfile.TarError, OSError) as error:
        raise InputError(
            "DATASET_UNREADABLE", f"dataset.path: shard '{shard}' cannot be read: {error}"
        ) from None
    for key, member in images.items():
        member.label = labels.get(key)
        yield member


def _split(name: str) -> tuple[str, str]:
    """Key and ending: everything from the first point of the base name on is the ending."""
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
            true_box(
                int(box["class_id"]),
                corners,
                area=None if area is None else float(area),
                is_crowd=bool(box.get("is_crowd", False)),
                ignore=bool(box.get("ignore", False)),
                where=f"box {number}",
            )
        )
    if masks is not None:
        size = int(document["height"]), int(document["width"])
        found.masks = [mask_of_polygons(polygons, *size) for polygons in masks]
    if keypoints is not None:
        found.keypoints = [
            keypoints_of([v for point in points for v in point]) for points in keypoints
        ]
    return found
