"""Tar shards: members that share a key are one image, ``000001.jpg`` with ``000001.cls``.

Only headers and labels are read for the manifest, in reads of 1 MiB from remote shards; a worker
later reads the bytes of an image at its offset. So a bad member is one failed row, and no shard is
unpacked. Labels: ``.cls`` (a class id or name), ``.txt`` (a name), or ``.json`` with ``label``, or
with ``boxes`` as in the result rows, optionally ``masks`` (polygons) and ``keypoints`` in pixels,
and ``height, width``.
"""

from __future__ import annotations

import fnmatch
import glob
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import Any

from snellen.adapters.errors import InputError
from snellen.pipelines.data.sources.annotations import LabelProblem, Targets, target_columns
from snellen.pipelines.data.sources.base import DatasetInfo, Source
from snellen.pipelines.data.sources.file_listing import ahead, escape_id, sort_key
from snellen.pipelines.data.sources.shards.tar_shards import Member, read_members
from snellen.pipelines.storage.remote_path import Place, RemotePath

_CLASSES_FILE = "classes.txt"
_THREADS = 8


class WebDatasetSource(Source):
    """Shards of ``dataset: {format: webdataset, path: FOLDER or GLOB}``, in natural order.

    Class names come from ``classes.txt`` beside the shards, one name per line in the order of the
    ids; without it they are the distinct labels.
    """

    @classmethod
    def recognises(cls, path: Place) -> bool:
        """Return True for a tar file or a folder of them."""
        if isinstance(path, RemotePath):
            return path.suffix == ".tar" or bool(path.is_dir() and matching(path, "*.tar"))
        return path.suffix == ".tar" or (path.is_dir() and any(path.glob("*.tar")))

    def describe(self) -> DatasetInfo:
        """Find the shards and the classes.

        Raises:
            InputError: no shard, or a shard that is not a tar file.
        """
        names = self._names
        if not self.reads_labels:
            return DatasetInfo(self._root, None, None)
        if names is not None:
            return DatasetInfo(self._root, None, names, class_order=_CLASSES_FILE)
        distinct: set[str] = set()
        for _, members in self._members():
            for member in members:
                if isinstance(member.label, str):
                    distinct.add(member.label)
                elif isinstance(member.label, Targets):
                    raise InputError(
                        "DATASET_CLASSES",
                        f"'{self._root}' has shards with boxes and no class names. Expected "
                        f"{_CLASSES_FILE} beside them, one name per line.",
                    )
        are_ids = bool(distinct) and all(label.isdecimal() for label in distinct)
        order = "natural" if are_ids else self.config.class_order
        classes = tuple(sorted(distinct, key=sort_key(order)))  # type: ignore[arg-type]
        return DatasetInfo(
            self._root, None, classes or None, labels_are_ids=are_ids, class_order=order
        )

    def batches(self, info: DatasetInfo) -> Iterator[dict[str, Sequence[Any]]]:
        """Yield one batch per shard, members in their order."""
        index = {name: number for number, name in enumerate(info.classes or ())}
        for shard, members in self._members():
            stat = shard.stat()
            labels = [self._label(member) for member in members]
            prefix = str(shard)[len(str(self._root).rstrip("/")) + 1 :]
            targets: list[Targets | LabelProblem] = [
                m.label if isinstance(m.label, Targets | LabelProblem) else Targets()
                for m in members
            ]
            columns = target_columns(targets)
            yield {
                "image_id": [f"{prefix}/{escape_id(member.name)}" for member in members],
                "location": [escape_id(str(shard))] * len(members),
                "shard": [prefix] * len(members),
                "offset": [member.offset for member in members],
                "length": [member.length for member in members],
                "size": [stat.st_size] * len(members),
                "mtime_ns": [stat.st_mtime_ns] * len(members),
                "label": labels,
                "label_id": [index.get(label) if label else None for label in labels],
                **columns,
            }

    def _label(self, member: Member) -> str | None:
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
    def _root(self) -> Place:
        # A pattern over several folders has their common folder as root.
        scheme, mark, _ = str(self._shards[0]).rpartition("://")
        folders = [str(shard.parent).removeprefix(scheme + mark) for shard in self._shards]
        return self.at(scheme + mark + os.path.commonpath(folders))

    @cached_property
    def _shards(self) -> list[Place]:
        path = self.place(self.config.path)
        if isinstance(path, RemotePath):
            found = self._remote_shards(path)
        else:
            pattern = f"{path}/*.tar" if path.is_dir() else str(path)
            found = [Path(shard) for shard in glob.glob(pattern)]  # noqa: PTH207
        if not found:
            raise InputError(
                "DATASET_EMPTY", f"dataset.path: '{path}' has no shards. Expected .tar files."
            )
        key = sort_key("natural")
        return sorted(found, key=lambda shard: key(str(shard)))  # type: ignore[arg-type, return-value]

    def _remote_shards(self, path: RemotePath) -> list[Place]:
        if not any(mark in path.address for mark in "*?["):
            return [*matching(path, "*.tar")] if path.is_dir() else [path]
        parts = path.address.split("/")
        first = next(n for n, part in enumerate(parts) if any(mark in part for mark in "*?["))
        return [*matching(self.at("/".join(parts[:first])), "/".join(parts[first:]))]

    def _members(self) -> Iterator[tuple[Place, list[Member]]]:
        """Yield each shard with its images; the next remote shards are read in the meantime."""
        if not isinstance(self._shards[0], RemotePath):
            yield from zip(self._shards, map(read_members, self._shards), strict=True)
            return
        with ThreadPoolExecutor(_THREADS) as pool:
            found = ahead(pool, read_members, self._shards, _THREADS)
            yield from zip(self._shards, found, strict=True)


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
