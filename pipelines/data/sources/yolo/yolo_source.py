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

import yaml

from snellen.adapters.errors import ErrorCode, ImageError, InputError
from snellen.adapters.images.size import upright_size
from snellen.pipelines.data.sources.annotations import LabelProblem, Targets, target_columns
from snellen.pipelines.data.sources.base import DatasetInfo, Source
from snellen.pipelines.data.sources.file_listing import (
    Stat,
    escape_id,
    sort_key,
    stat_files,
)
from snellen.pipelines.data.sources.yolo.label_lines import label_path, parse_labels
from snellen.pipelines.data.walk import remote_images
from snellen.pipelines.storage.address import is_remote
from snellen.pipelines.storage.remote_path import HEADER, Place, RemotePath, join

_BATCH = 1024
_THREADS = 16
_SPLITS = ("test", "val", "train")


class YoloSource(Source):
    """The images of one split, with their label files."""

    labelled: ClassVar[bool] = True

    @classmethod
    def recognises(cls, path: Place) -> bool:
        """Return True for a YAML file or a folder with data.yaml."""
        return path.suffix.lower() in {".yaml", ".yml"} or (path / "data.yaml").is_file()

    def describe(self) -> DatasetInfo:
        """Read data.yaml and choose the split.

        Raises:
            InputError: no data.yaml, no names, or no such split.
        """
        names = self._document.get("names")
        if isinstance(names, dict) and all(str(key).isdecimal() for key in names):
            names = [names[key] for key in sorted(names, key=int)]
        if not isinstance(names, list) or not names:
            raise InputError(
                "DATASET_FORMAT",
                f"'{self._file}' has no names. Expected a list, or a mapping of ids to names.",
            )
        shape = self._document.get("kpt_shape")
        if shape is not None and not _is_kpt_shape(shape):
            raise InputError(
                "DATASET_FORMAT",
                f"'{self._file}': kpt_shape is {shape}. Expected a number of keypoints and 2 or 3.",
            )
        split = self._split
        note = () if self.config.split == split else (f"took the split '{split}' of {self._file}",)
        return DatasetInfo(
            root=self._root,
            split=split,
            classes=tuple(str(name) for name in names),
            class_order="data.yaml",
            notes=note,
        )

    def batches(self, info: DatasetInfo) -> Iterator[dict[str, Sequence[Any]]]:
        """Yield the images in natural order of their paths; threads read the labels."""
        paths = iter(self._images())
        prefix = len(str(info.root).rstrip("/")) + 1
        classes = len(info.classes or ())
        with ThreadPoolExecutor(_THREADS) as pool:
            while chunk := list(islice(paths, _BATCH)):
                stats = self._stats(chunk)
                places = [self.at(path) for path in chunk]
                found = list(pool.map(self._targets, places, repeat(classes)))
                yield {
                    "image_id": [
                        escape_id(p[prefix:] if p.startswith(str(info.root)) else p) for p in chunk
                    ],
                    "location": [escape_id(path) for path in chunk],
                    "size": [size for size, _ in stats],
                    "mtime_ns": [mtime for _, mtime in stats],
                    "label": [None] * len(chunk),
                    "label_id": [None] * len(chunk),
                    **target_columns(found),
                }

    def _stats(self, paths: Sequence[str]) -> list[Stat]:
        """Return sizes and times; those of remote images are from the listing."""
        local = iter(stat_files([path for path in paths if not is_remote(path)]))
        unknown = (None, None)
        return [self._listed.get(p, unknown) if is_remote(p) else next(local) for p in paths]

    @cached_property
    def _file(self) -> Place:
        path = self.place(self.config.path)
        if path.is_file():
            return path
        for name in ("data.yaml", "dataset.yaml"):
            if (path / name).is_file():
                return path / name
        raise InputError(
            "DATASET_FORMAT", f"dataset.path: '{path}' has no data.yaml. Expected a YOLO dataset."
        )

    @cached_property
    def _document(self) -> dict[str, Any]:
        try:
            document = yaml.safe_load(self._file.read_text("utf-8"))
        except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
            raise InputError(
                "DATASET_UNREADABLE", f"'{self._file}' cannot be read: {error}. Expected YAML."
            ) from None
        if not isinstance(document, dict):
            raise InputError("DATASET_FORMAT", f"'{self._file}' has no keys. Expected a mapping.")
        return document

    @cached_property
    def _root(self) -> Place:
        written = self._document.get("path")
        if written is None:
            return self._file.parent
        text = str(written)
        if not is_remote(text):
            text = str(Path(text).expanduser())
        beside = self.place(join(self._file.parent, text))
        return beside if beside.is_dir() else self._file.parent

    @cached_property
    def _split(self) -> str:
        wanted = self.config.split
        has = [name for name in _SPLITS if self._document.get(name)]
        if wanted in (None, "auto"):
            if not has:
                raise InputError(
                    "DATASET_SPLIT", f"'{self._file}' has no split. Expected test, val or train."
                )
            return has[0]
        if wanted not in has:
            raise InputError(
                "DATASET_SPLIT",
                f"dataset.split: '{self._file}' has no split '{wanted}'. Expected one of "
                f"{', '.join(has)}.",
            )
        return str(wanted)

    @cached_property
    def _listed(self) -> dict[str, Stat]:
        """Remote images with size and time; filled by ``_images``."""
        return {}

    def _images(self) -> list[str]:
        entries = self._document[self._split]
        paths: list[str] = []
        for entry in entries if isinstance(entries, list) else [entries]:
            where = self.place(join(self._root, str(entry)))
            if where.is_dir():
                paths += self._walk(where)
            elif where.is_file():
                lines = where.read_text("utf-8").splitlines()
                paths += [join(where.parent, line.strip()) for line in lines if line.strip()]
            else:
                raise InputError(
                    "DATASET_NOT_FOUND",
                    f"'{self._file}': '{where}' does not exist. Expected a folder or a list of "
                    "images.",
                )
        return sorted(paths, key=sort_key("natural"))  # type: ignore[arg-type]

    def _walk(self, folder: Place) -> Iterator[str]:
        if not isinstance(folder, RemotePath):
            yield from self.listing().walker(folder).images_below(str(folder))
            return
        for file in remote_images(folder, self.report):
            self._listed[str(file)] = (file.stat().st_size, file.stat().st_mtime_ns)
            yield str(file)

    def _targets(self, image: Place, classes: int) -> Targets | LabelProblem:
        label = self.at(label_path(str(image)))
        try:
            text = label.read_text("utf-8")
        except FileNotFoundError:
            if self.config.missing_labels == "background":
                return Targets()
            return LabelProblem(
                ErrorCode.LABEL_MISSING, f"the label file {label.name} does not exist"
            )
        except (OSError, UnicodeDecodeError) as error:
            return LabelProblem(ErrorCode.LABEL_INVALID, f"{label.name}: {error}")
        try:
            size = upright_size(image if isinstance(image, Path) else image.open(HEADER))
        except (ImageError, OSError):
            return Targets()  # the row of the image has its error
        try:
            return parse_labels(text, classes, size, self._document.get("kpt_shape"))
        except LabelProblem as problem:
            return problem


def _is_kpt_shape(shape: Any) -> bool:
    return (
        isinstance(shape, list)
        and len(shape) == 2
        and all(isinstance(value, int) for value in shape)
        and shape[0] > 0
        and shape[1] in (2, 3)
    )
