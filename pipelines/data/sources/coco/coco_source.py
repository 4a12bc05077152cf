"""COCO JSON: detection, instance segmentation and keypoints.

The annotation file is read whole, which takes about five times its size in memory; the manifest is
still written in batches. ``image_id`` is ``file_name``, which may name sub-folders; COCO's own id
is kept as ``meta_coco_id``. Category ids may be sparse: classes are ordered by them.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import islice
from typing import Any, ClassVar

import pyarrow as pa

from snellen.adapters.errors import ErrorCode, InputError
from snellen.pipelines.data.report import DatasetReport
from snellen.pipelines.data.sources.annotations import (
    LabelProblem,
    Targets,
    TrueBox,
    keypoints_of,
    mask_of_polygons,
    mask_of_rle,
    target_columns,
)
from snellen.pipelines.data.sources.base import DatasetInfo, Source
from snellen.pipelines.data.sources.file_listing import Stat, escape_id, stat_files
from snellen.pipelines.data.walk import remote_images
from snellen.pipelines.storage.remote_path import Place, RemotePath, join

_BATCH = 4096
_NEEDED: dict[str, dict[str, type]] = {
    "images": {"id": int, "file_name": str},
    "annotations": {"image_id": int},
    "categories": {"id": int, "name": str},
}


class CocoSource(Source):
    """COCO dataset: ``dataset: {format: coco, path: IMAGES_ROOT, annotations: FILE}``."""

    labelled: ClassVar[bool] = True

    @classmethod
    def recognises(cls, path: Place) -> bool:
        """Return False: the annotation file has to be named."""
        return False

    def describe(self) -> DatasetInfo:
        """Read the annotation file and its categories.

        Raises:
            InputError: no annotation file, not COCO JSON, or duplicate category names.
        """
        names = [str(category["name"]) for category in self._categories]
        if len(set(names)) != len(names):
            raise InputError(
                "DATASET_FORMAT",
                f"dataset.annotations: '{self._file}' has duplicate category names. Expected "
                "unique names.",
            )
        return DatasetInfo(
            root=self.place(self.config.path),
            split=None,
            classes=tuple(names),
            class_order="category id",
            meta_fields=(pa.field("meta_coco_id", pa.int64()),),
        )

    def batches(self, info: DatasetInfo) -> Iterator[dict[str, Sequence[Any]]]:
        """Yield the images in the order of the file."""
        images = iter(self._document["images"])
        while chunk := list(islice(images, _BATCH)):
            names = [str(image["file_name"]) for image in chunk]
            paths = [join(info.root, name) for name in names]
            stats = self._stats(info.root, paths)
            yield {
                "image_id": [escape_id(name) for name in names],
                "location": [escape_id(path) for path in paths],
                "size": [size for size, _ in stats],
                "mtime_ns": [mtime for _, mtime in stats],
                "label": [None] * len(chunk),
                "label_id": [None] * len(chunk),
                **target_columns([self._targets(image) for image in chunk]),
                "meta_coco_id": [int(image["id"]) for image in chunk],
            }

    def _stats(self, root: Place, paths: Sequence[str]) -> list[Stat]:
        """Return sizes and times; a remote folder is listed once, without requests per image."""
        if not isinstance(root, RemotePath):
            return stat_files(paths)
        return [self._remote_stats.get(path, (None, None)) for path in paths]

    @cached_property
    def _remote_stats(self) -> dict[str, Stat]:
        root = self.place(self.config.path)
        files = remote_images(root, DatasetReport()) if isinstance(root, RemotePath) else []
        return {str(file): (file.stat().st_size, file.stat().st_mtime_ns) for file in files}

    @property
    def _file(self) -> Place:
        if self.config.annotations is None:
            raise InputError(
                "DATASET_ANNOTATIONS",
                "dataset.annotations is missing. Expected the COCO JSON file. Set "
                "dataset.annotations=FILE.",
            )
        return self.place(self.config.annotations, "annotations")

    @cached_property
    def _document(self) -> dict[str, Any]:
        try:
            document = json.loads(self._file.read_bytes())
        except FileNotFoundError:
            raise InputError(
                "DATASET_NOT_FOUND",
                f"dataset.annotations: '{self._file}' does not exist. Expected the COCO JSON file.",
            ) from None
        except (ValueError, OSError) as error:
            raise InputError(
                "DATASET_UNREADABLE",
                f"dataset.annotations: '{self._file}' cannot be read: {error}. Expected COCO JSON.",
            ) from None
        keys = ("images", "annotations", "categories")
        if not isinstance(document, dict) or any(
            not isinstance(document.get(key), list) for key in keys
        ):
            raise InputError(
                "DATASET_FORMAT",
                f"dataset.annotations: '{self._file}' is not COCO JSON. Expected the lists images, "
                "annotations and categories.",
            )
        for name, needed in _NEEDED.items():
            self._check_records(name, document[name], needed)
        return document

    def _check_records(self, name: str, records: list[Any], needed: dict[str, type]) -> None:
        """Reject a file with records that lack the keys by which they are found."""
        for number, record in enumerate(records):
            if not isinstance(record, dict) or any(
                not isinstance(record.get(key), kind) for key, kind in needed.items()
            ):
                raise InputError(
                    "DATASET_FORMAT",
                    f"dataset.annotations: '{self._file}': {name}[{number}] is malformed. Expected "
                    f"{' and '.join(f'{key} ({kind.__name__})' for key, kind in needed.items())}.",
                )

    @cached_property
    def _categories(self) -> list[dict[str, Any]]:
        return sorted(self._document["categories"], key=lambda category: int(category["id"]))

    @cached_property
    def _class_ids(self) -> dict[int, int]:
        return {int(category["id"]): index for index, category in enumerate(self._categories)}

    @cached_property
    def _by_image(self) -> dict[int, list[dict[str, Any]]]:
        grouped: dict[int, list[dict[str, Any]]] = defaultdict(list)
        for annotation in self._document["annotations"]:
            grouped[int(annotation["image_id"])].append(annotation)
        return grouped

    @cached_property
    def _has(self) -> tuple[bool, bool]:
        """True if any annotation has a mask; True if any has keypoints."""
        annotations = self._document["annotations"]
        return (
            any(annotation.get("segmentation") for annotation in annotations),
            any("keypoints" in annotation for annotation in annotations),
        )

    def _targets(self, image: dict[str, Any]) -> Targets | LabelProblem:
        masks, keypoints = self._has
        found = Targets(masks=[] if masks else None, keypoints=[] if keypoints else None)
        try:
            for annotation in self._by_image.get(int(image["id"]), []):
                self._add(found, annotation, image)
        except LabelProblem as problem:
            return problem
        except (KeyError, TypeError, ValueError) as error:
            return LabelProblem(
                ErrorCode.LABEL_INVALID,
                f"an annotation is malformed: {type(error).__name__} {error}",
            )
        return found

    def _add(self, found: Targets, annotation: dict[str, Any], image: dict[str, Any]) -> None:
        where = f"annotation {annotation.get('id')}"
        category = int(annotation["category_id"])
        if category not in self._class_ids:
            raise LabelProblem(
                ErrorCode.LABEL_RANGE, f"{where}: category {category} does not exist"
            )
        x, y, width, height = (float(value) for value in annotation["bbox"])
        if width < 0 or height < 0:
            raise LabelProblem(ErrorCode.LABEL_INVALID, f"{where}: the box has a negative size")
        area = annotation.get("area")
        found.boxes.append(
            TrueBox(
                self._class_ids[category],
                (x, y, x + width, y + height),
                area=None if area is None else float(area),
                is_crowd=bool(annotation.get("iscrowd", 0)),
                ignore=bool(annotation.get("ignore", 0)),
            ).to_row(where)
        )
        if found.masks is not None:
            found.masks.append(_mask(annotation, image))
        if found.keypoints is not None:
            values = [float(value) for value in annotation.get("keypoints", [])]
            found.keypoints.append(keypoints_of(values, where=where))


def _mask(annotation: dict[str, Any], image: dict[str, Any]) -> bytes:
    height, width = int(image["height"]), int(image["width"])
    segmentation = annotation.get("segmentation")
    if isinstance(segmentation, dict):
        return mask_of_rle(segmentation, height, width)
    if segmentation:
        return mask_of_polygons(segmentation, height, width)
    # Without an outline the box is the mask, as in pycocotools' loadRes.
    x, y, w, h = (float(value) for value in annotation["bbox"])
    return mask_of_polygons([[x, y, x, y + h, x + w, y + h, x + w, y]], height, width)
