"""YOLO dataset: data.yaml, images, and one label file per image.

``dataset: {format: yolo, path: DATA_YAML or its folder, split: test | val | train}``. A label
line is ``class xc yc w h`` (box), ``class x1 y1 x2 y2 x3 y3 ...`` (polygon) or, with ``kpt_shape``
in data.yaml, ``class xc yc w h`` and the keypoints; all normalised to the upright image.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from itertools import islice, repeat
from pathlib import Path
from typing import Any, ClassVar

from snellen.adapters.errors import ErrorCode, ImageError
from snellen.adapters.images.size import upright_size
from snellen.adapters.text_files import TextEncodingError, decode_text
from snellen.pipelines.data.sources.annotations import LabelProblem, Targets, target_columns
from snellen.pipelines.data.sources.base import DatasetInfo, Source
from snellen.pipelines.data.sources.file_listing import Stat, escape_id, stat_files
from snellen.pipelines.data.sources.yolo.data_yaml import DataYaml, is_yolo, read_data_yaml
from snellen.pipelines.data.sources.yolo.image_entries import ImageEntries
from snellen.pipelines.data.sources.yolo.label_lines import LabelFormat, label_path, parse_labels
from snellen.pipelines.data.sources.yolo.split_places import SplitFinder, SplitPlaces
from snellen.pipelines.storage.address import is_remote
from snellen.pipelines.storage.remote_path import HEADER, Place

_BATCH = 1024
_THREADS = 16


class YoloSource(Source):
    """The images of one split, with their label files."""

    labelled: ClassVar[bool] = True
    keys: ClassVar[frozenset[str] | None] = frozenset(
        {"split", "missing_labels", "first_label", "mixed_labels"}
    )

    @classmethod
    def recognises(cls, path: Place) -> bool:
        """Return True for a YAML file, or a folder with one that describes a dataset."""
        return is_yolo(path)

    def describe(self) -> DatasetInfo:
        """Read data.yaml and choose the split.

        Raises:
            InputError: no data.yaml, no names, names and ids that do not fit, or no such split.
        """
        content, split = self._content, self._split
        shape = content.kpt_shape
        return DatasetInfo(
            root=split.root,
            split=split.name,
            classes=content.names,
            class_order="data.yaml",
            keypoints=None if shape is None else shape[0],
            notes=split.notes,
        )

    def batches(self, info: DatasetInfo) -> Iterator[dict[str, Sequence[Any]]]:
        """Yield the images in natural order of their paths; threads read the labels."""
        entries = ImageEntries(self._split, self.listing(), self.storage)
        paths = iter(entries.paths())
        root = f"{str(info.root).rstrip('/')}/"
        label_format = LabelFormat(
            len(info.classes or ()),
            self._content.kpt_shape,
            masks=self.reads("masks"),
            keypoints=self.reads("keypoints"),
        )
        with ThreadPoolExecutor(_THREADS) as pool:
            while chunk := list(islice(paths, _BATCH)):
                stats = _stats(chunk, entries.stats)
                places = [self.at(path) for path in chunk]
                found = list(pool.map(self._targets, places, repeat(label_format)))
                yield {
                    "image_id": [escape_id(path.removeprefix(root)) for path in chunk],
                    "location": [escape_id(path) for path in chunk],
                    "size": [size for size, _ in stats],
                    "mtime_ns": [mtime for _, mtime in stats],
                    "label": [None] * len(chunk),
                    "label_id": [None] * len(chunk),
                    **target_columns(found),
                }

    @cached_property
    def _content(self) -> DataYaml:
        return read_data_yaml(self.place(self.config.path))

    @cached_property
    def _split(self) -> SplitPlaces:
        return SplitFinder(self._content, self.storage).find(self.config.split)

    def _targets(self, image: Place, label_format: LabelFormat) -> Targets | LabelProblem:
        label = self.at(label_path(str(image)))
        try:
            text = decode_text(label.read_bytes())
        except FileNotFoundError:
            if self.config.missing_labels == "background":
                return Targets()
            return LabelProblem(
                ErrorCode.LABEL_MISSING, f"the label file {label.name} does not exist"
            )
        except (OSError, TextEncodingError) as error:
            return LabelProblem(ErrorCode.LABEL_INVALID, f"{label.name}: {error}")
        try:
            size = upright_size(image if isinstance(image, Path) else image.open(HEADER))
        except (ImageError, OSError):
            return Targets()  # the row of the image has its error
        try:
            found, duplicates = parse_labels(text, size, label_format)
        except LabelProblem as problem:
            return problem
        if duplicates:
            self.report.ignore("duplicate_line", duplicates)
        return found


def _stats(paths: Sequence[str], remote: dict[str, Stat]) -> list[Stat]:
    """Return sizes and times; those of remote images are from the listing."""
    local = iter(stat_files([path for path in paths if not is_remote(path)]))
    return [remote.get(path, (None, None)) if is_remote(path) else next(local) for path in paths]
