"""COCO JSON: detection, instance segmentation and keypoints.

The annotation file is read whole, which takes about five times its size in memory; the manifest is
still written in batches. ``image_id`` is ``file_name``, which may name sub-folders; COCO's own id
is kept as ``meta_coco_id``. Category ids may be sparse: classes are ordered by them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa

from snellen.adapters.errors import ImageError
from snellen.adapters.images.size import HeaderSize, header_size
from snellen.pipelines.config.dataset import DatasetConfig
from snellen.pipelines.data.report import DatasetReport
from snellen.pipelines.data.sources.annotations import LabelProblem, Targets, target_columns
from snellen.pipelines.data.sources.base import DatasetInfo, Source
from snellen.pipelines.data.sources.coco.coco_file import CocoFile, read_coco
from snellen.pipelines.data.sources.coco.coco_layout import annotation_file, image_folders
from snellen.pipelines.data.sources.coco.coco_objects import ObjectReader
from snellen.pipelines.data.sources.coco.frames import Frame, frames_of, stated_size
from snellen.pipelines.data.sources.coco.image_files import ImageFiles
from snellen.pipelines.data.sources.file_listing import Stat, escape_id, stat_files
from snellen.pipelines.data.walk import remote_images
from snellen.pipelines.storage.remote_path import Place, RemotePath, join

_BATCH = 4096
_THREADS = 16


class CocoSource(Source):
    """COCO dataset: ``dataset: {format: coco, path: IMAGES_ROOT, annotations: FILE}``."""

    labelled: ClassVar[bool] = True
    keys: ClassVar[frozenset[str] | None] = frozenset(
        {"annotations", "split", "first_label", "mixed_labels"}
    )

    @classmethod
    def keys_for(cls, config: DatasetConfig) -> frozenset[str] | None:
        """Return the keys; a split chooses an annotation file, where none is named."""
        named = config.annotations is not None or config.path.lower().endswith(".json")
        return cls.keys - {"split"} if named and cls.keys is not None else cls.keys

    @classmethod
    def recognises(cls, path: Place) -> bool:
        """Return True for a .json file, or a folder with an annotation file of a known name."""
        return path.suffix.lower() == ".json" or (
            isinstance(path, Path) and annotation_file(path, None) is not None
        )

    def describe(self) -> DatasetInfo:
        """Read the annotation file and its categories.

        Raises:
            InputError: no annotation file, not COCO JSON, duplicate ids or category names, or
                annotations of which none belongs to an image.
        """
        content = self.content
        whole = not content.image_ids or isinstance(content.image_ids[0], int)
        named = self.config.annotations is not None
        return DatasetInfo(
            root=self._root,
            split=None,
            classes=content.classes,
            class_order="category id",
            meta_fields=(pa.field("meta_coco_id", pa.int64() if whole else pa.string()),),
            keypoints=content.keypoints,
            notes=(*(() if named else (f"took the annotations {self._file}",)), *content.notes),
            warnings=content.warnings,
        )

    def batches(self, info: DatasetInfo) -> Iterator[dict[str, Sequence[Any]]]:
        """Yield the images in the order of the file."""
        content = self.content
        for reason, count in content.ignored.items():
            self.report.ignore(reason, count)
        names = self._names(info.root)
        paths = [join(info.root, name) for name in names]
        frames = self._frames(info.root, paths)
        reader = ObjectReader(
            content.class_ids,
            masks=self.reads("masks") and content.has_outlines,
            keypoints=content.keypoints if self.reads("keypoints") else None,
        )
        for start in range(0, len(paths), _BATCH):
            part = slice(start, start + _BATCH)
            stats = self._stats(info.root, paths[part])
            targets = [
                self._targets(reader, objects, frame)
                for objects, frame in zip(content.objects[part], frames[part], strict=True)
            ]
            yield {
                "image_id": [escape_id(name) for name in names[part]],
                "location": [escape_id(path) for path in paths[part]],
                "size": [size for size, _ in stats],
                "mtime_ns": [mtime for _, mtime in stats],
                "label": [None] * len(stats),
                "label_id": [None] * len(stats),
                **target_columns(targets),
                "meta_coco_id": content.image_ids[part],
            }

    def _targets(
        self,
        reader: ObjectReader,
        objects: Sequence[dict[str, Any]],
        frame: Frame | LabelProblem | None,
    ) -> Targets | LabelProblem:
        if isinstance(frame, LabelProblem):
            return frame
        found, repaired = reader.read(objects, frame)
        for reason, count in repaired.items():
            self.report.repair(reason, count)
        return found

    def _names(self, root: Place) -> list[str]:
        """Return the names of the images as their files are called."""
        written = [str(image["file_name"]) for image in self.content.images]
        if not isinstance(root, Path):
            return written
        files = ImageFiles(root)
        names, repairs = files.match(written)
        for reason, count in repairs.items():
            self.report.repair(reason, count)
        files.pass_over_others(names, self.report)
        return names

    def _frames(self, root: Place, paths: Sequence[str]) -> list[Frame | LabelProblem | None]:
        stated = [stated_size(image) for image in self.content.images]
        if isinstance(root, Path):
            with ThreadPoolExecutor(_THREADS) as pool:
                measured = list(pool.map(_measured, paths))
        else:
            measured = [None] * len(paths)
        return frames_of(stated, measured, self.content.objects)

    def _stats(self, root: Place, paths: Sequence[str]) -> list[Stat]:
        """Return sizes and times; a remote folder is listed once, without requests per image."""
        if not isinstance(root, RemotePath):
            return stat_files(paths)
        return [self._remote_stats.get(path, (None, None)) for path in paths]

    @cached_property
    def _remote_stats(self) -> dict[str, Stat]:
        files = (
            remote_images(self._root, DatasetReport()) if isinstance(self._root, RemotePath) else []
        )
        return {str(file): (file.stat().st_size, file.stat().st_mtime_ns) for file in files}

    @cached_property
    def content(self) -> CocoFile:
        """The content of the annotation file."""
        return read_coco(self._file)

    @cached_property
    def _file(self) -> Place:
        if self.config.annotations is not None:
            return self.place(self.config.annotations, "annotations")
        return annotation_file(self.place(self.config.path), self.config.split, required=True)

    @cached_property
    def _root(self) -> Place:
        path = self.place(self.config.path)
        if self.config.annotations is not None:
            return path
        names = [str(image["file_name"]) for image in self.content.images]
        folders = image_folders(path, self._file)
        local = (folder for folder in folders if isinstance(folder, Path))
        return next((one for one in local if ImageFiles(one).has_any(names)), folders[-1])


def _measured(path: str) -> HeaderSize | None:
    try:
        return header_size(path)
    except ImageError:
        return None  # the row of the image has its error
