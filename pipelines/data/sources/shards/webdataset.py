"""Tar shards: members that share a key are one image, ``000001.jpg`` with ``000001.cls``.

Only headers and labels are read for the manifest, in reads of 1 MiB from remote shards; a worker
later reads the bytes of an image at its offset. So a bad member is one failed row, and no shard is
unpacked. Labels: ``.cls`` (a class id or name), ``.json`` with ``label``, or with ``boxes`` as in
the result rows, optionally ``masks`` (polygons) and ``keypoints`` in pixels, and ``height, width``,
or ``.txt`` (a name).
"""

from __future__ import annotations

import fnmatch
import glob
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from snellen.adapters.errors import InputError
from snellen.adapters.text_files import check_unique_names, parse_class_names
from snellen.pipelines.data.class_map import check_first_label
from snellen.pipelines.data.sources.annotations import LabelProblem, Targets, target_columns
from snellen.pipelines.data.sources.base import CLASSES_FILE, DatasetInfo, Source
from snellen.pipelines.data.sources.file_listing import ahead, escape_id, sort_key
from snellen.pipelines.data.sources.shards.shard_objects import ObjectDocument
from snellen.pipelines.data.sources.shards.tar_shards import Member, Shard, read_shard
from snellen.pipelines.data.walk import is_hidden
from snellen.pipelines.storage.remote_path import Place, RemotePath

_COMPRESSED = (".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz", ".tar.zst")
_THREADS = 8


class WebDatasetSource(Source):
    """Shards of ``dataset: {format: webdataset, path: FOLDER or GLOB}``, in natural order.

    Class names come from ``classes.txt`` beside the shards, one name per line in the order of the
    ids; without it they are the distinct labels.
    """

    keys: ClassVar[frozenset[str] | None] = frozenset(
        {"class_order", "first_label", "mixed_labels"}
    )

    @classmethod
    def recognises(cls, path: Place) -> bool:
        """Return True for a tar file or a folder of them."""
        return is_shard(path.name) or (path.is_dir() and bool(_shards_in(path)))

    def describe(self) -> DatasetInfo:
        """Find the shards and the classes.

        Raises:
            InputError: no shard, or a shard that is not a tar file.
        """
        if not self.reads_labels:
            return DatasetInfo(self._root, None, None)
        names = self._names
        if names is not None:
            return DatasetInfo(self._root, None, names, class_order=CLASSES_FILE)
        distinct: set[str] = set()
        for _, shard in self._read():
            for member in shard.images:
                if isinstance(member.label, str):
                    distinct.add(member.label)
                elif isinstance(member.label, ObjectDocument):
                    raise InputError(
                        "DATASET_CLASSES",
                        f"'{self._root}' has shards with boxes and no class names. Expected "
                        f"{CLASSES_FILE} beside them, one name per line.",
                    )
        are_ids = bool(distinct) and all(label.isdecimal() for label in distinct)
        order = "natural" if are_ids else self.config.class_order
        classes = tuple(sorted(distinct, key=sort_key(order)))  # type: ignore[arg-type]
        return DatasetInfo(
            self._root, None, classes or None, labels_are_ids=are_ids, class_order=order
        )

    def batches(self, info: DatasetInfo) -> Iterator[dict[str, Sequence[Any]]]:
        """Yield one batch per shard, members in their order.

        Raises:
            InputError: DATASET_UNREADABLE, a shard; CLASS_IDS_SHIFTED, labels that begin at
                another id than ``dataset.first_label``.
        """
        ids: set[str] = set()
        index = {name: number for number, name in enumerate(info.classes or ())}
        for place, shard in self._read():
            members = shard.images
            stat = place.stat()
            labels = [self._label(member) for member in members]
            prefix = str(place)[len(str(self._root).rstrip("/")) + 1 :]
            self._count(shard, prefix)
            ids.update(m.label for m in members if isinstance(m.label, str) and m.label.isdecimal())
            columns = target_columns([self._targets(member) for member in members])
            # Without boxes an image has no ground truth for a detector; it is not an empty one.
            columns["true_boxes"] = [
                boxes if isinstance(member.label, ObjectDocument) else None
                for member, boxes in zip(members, columns["true_boxes"], strict=True)
            ]
            yield {
                "image_id": [f"{prefix}/{escape_id(member.name)}" for member in members],
                "location": [escape_id(str(place))] * len(members),
                "shard": [prefix] * len(members),
                "offset": [member.offset for member in members],
                "length": [member.length for member in members],
                "size": [stat.st_size] * len(members),
                "mtime_ns": [stat.st_mtime_ns] * len(members),
                "label": labels,
                "label_id": [index.get(label) if label else None for label in labels],
                **columns,
            }
        if self._names is not None:
            check_first_label(ids, len(self._names), self.config.first_label)

    def _targets(self, member: Member) -> Targets | LabelProblem:
        if isinstance(member.label, ObjectDocument):
            return member.label.targets(self.reads)
        return member.label if isinstance(member.label, LabelProblem) else Targets()

    def _label(self, member: Member) -> str | None:
        if not isinstance(member.label, str):
            return None
        names = self._names
        if names is not None and member.label.isdecimal():
            position = int(member.label) - self.config.first_label
            if 0 <= position < len(names):
                return names[position]
        return member.label

    def _count(self, shard: Shard, name: str) -> None:
        """Count what a shard has besides images and their labels."""
        for reason, names in shard.passed_over.items():
            self.report.pass_over(reason, *(f"{name}/{escape_id(member)}" for member in names))
        for why, count in shard.ignored.items():
            self.report.ignore(why, count)
        for why, count in shard.repaired.items():
            self.report.repair(why, count)
        if not shard.complete:
            self.report.warn(f"{name} has no end-of-archive block: it may have been cut off")

    @cached_property
    def _names(self) -> tuple[str, ...] | None:
        file = self._root / CLASSES_FILE
        if not self.reads_labels or not file.is_file():
            return None
        names = parse_class_names(file.read_bytes(), str(file))
        check_unique_names(names, str(file))
        wrong = [
            name for number, name in enumerate(names) if name.isdecimal() and int(name) != number
        ]
        if wrong:
            raise InputError(
                "DATASET_CLASSES",
                f"'{file}': the class '{wrong[0]}' has the id {names.index(wrong[0])}, so that a "
                f"label {wrong[0]} can be either. Expected names that are not numbers. Rename "
                "them, or remove the file if the labels are ids.",
            )
        return names

    @cached_property
    def _root(self) -> Place:
        # A pattern over several folders has their common folder as root.
        scheme, mark, _ = str(self._shards[0]).rpartition("://")
        folders = [str(shard.parent).removeprefix(scheme + mark) for shard in self._shards]
        return self.at(scheme + mark + os.path.commonpath(folders))

    @cached_property
    def _shards(self) -> list[Place]:
        path = self.place(self.config.path)
        if not any(mark in str(path) for mark in "*?[") or path.exists():
            found = _shards_in(path) if path.is_dir() else [path]
        elif isinstance(path, RemotePath):
            parts = path.address.split("/")
            first = next(n for n, part in enumerate(parts) if any(mark in part for mark in "*?["))
            found = [*matching(self.at("/".join(parts[:first])), "/".join(parts[first:]))]
        else:
            found = [Path(shard) for shard in glob.glob(str(path))]  # noqa: PTH207
        if not found:
            raise InputError(
                "DATASET_EMPTY", f"dataset.path: '{path}' has no shards. Expected .tar files."
            )
        key = sort_key("natural")
        return sorted(found, key=lambda shard: key(str(shard)))  # type: ignore[arg-type, return-value]

    def _read(self) -> Iterator[tuple[Place, Shard]]:
        """Yield each shard with its members; the next remote shards are read in the meantime."""
        if not isinstance(self._shards[0], RemotePath):
            yield from zip(self._shards, map(read_shard, self._shards), strict=True)
            return
        with ThreadPoolExecutor(_THREADS) as pool:
            found = ahead(pool, read_shard, self._shards, _THREADS)
            yield from zip(self._shards, found, strict=True)


def is_shard(name: str) -> bool:
    """Return True for the name of a tar file; compressed ones are rejected when they are read."""
    return name.lower().endswith((".tar", *_COMPRESSED))


def _shards_in(folder: Place) -> list[Place]:
    """Return the tar files directly in a folder."""
    files = folder.below(recursive=False)[0] if isinstance(folder, RemotePath) else folder.iterdir()
    return [file for file in files if is_shard(file.name) and not is_hidden(file.name)]


def matching(folder: Place, pattern: str) -> list[RemotePath]:
    """Return the remote files below ``folder`` that match a shell pattern, part by part."""
    if not isinstance(folder, RemotePath):
        return []
    wanted = pattern.split("/")
    start = len(folder.address) + 1
    found = []
    for file in folder.below(recursive=len(wanted) > 1)[0]:
        parts = file.address[start:].split("/")
        if len(parts) == len(wanted) and all(
            fnmatch.fnmatchcase(part, mask) and not part.startswith(".")
            for part, mask in zip(parts, wanted, strict=True)
        ):
            found.append(file)
    return found
