"""Image folder dataset: one sub-folder per class, ``path/split/class/*`` or ``path/class/*``.

``dataset.class_level`` says which of nested folders is the class: the first one, as in torchvision;
the one that the image is in, as in timm; or the whole path.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

from snellen.adapters.errors import InputError
from snellen.pipelines.data.report import DatasetReport, PassedOver
from snellen.pipelines.data.sources.base import DatasetInfo, Source
from snellen.pipelines.data.sources.file_listing import (
    escape_id,
    folders_in,
    list_images,
    sort_key,
    unescape_id,
)
from snellen.pipelines.data.walk import Walker, remote_images
from snellen.pipelines.storage.remote_path import Place, RemotePath

_LEVELS = ("top", "leaf", "path")
_SHOWN = 5
_SPLITS = ("test", "val", "validation", "valid", "train")


class ImageFolderSource(Source):
    """One folder per class; images may be at any depth below it.

    An empty class folder is a class without images. The order of the classes is
    ``dataset.class_order`` (timm: natural; torchvision: lexicographic) and is stored with the run.
    """

    labelled: ClassVar[bool] = True
    keys: ClassVar[frozenset[str] | None] = frozenset(
        {"split", "class_level", "class_order", "first_label"}
    )

    @classmethod
    def recognises(cls, path: Place) -> bool:
        """Return True for a folder with sub-folders."""
        return path.is_dir() and bool(folders_in(path))

    def describe(self) -> DatasetInfo:
        """Find split and class folders.

        Raises:
            InputError: no such split, or no class folder.
        """
        path = self.place(self.config.path)
        if not path.is_dir():
            raise InputError(
                "DATASET_FORMAT", f"dataset.path: '{path}' is not a folder. Expected one."
            )
        root, split, note = self._choose_split(path)
        order = self.config.class_order
        level = self.config.class_level
        found = self._folders(root) if level == "top" else self._classes_below(root, level)
        classes = tuple(sorted(found, key=sort_key(order)))  # type: ignore[arg-type]
        if not classes:
            raise InputError(
                "DATASET_EMPTY",
                f"dataset.path: '{root}' has no class folders. Expected {root.name}/CLASS/IMAGE.",
            )
        for name in classes:
            if any("\udc80" <= char <= "\udcff" for char in name):
                raise InputError(
                    "DATASET_CLASS_NAME",
                    f"dataset.path: '{root}' has a class folder '{escape_id(name)}'. Expected a "
                    "name in UTF-8. Rename the folder.",
                )
        return DatasetInfo(
            root=root,
            split=split,
            classes=classes,
            class_order=order,
            notes=(note,) if note else (),
        )

    def advise(self, names: Sequence[str]) -> str | None:
        """Recommend another level of the folders if its classes are those of a checkpoint."""
        root = self.describe().root
        for level in _LEVELS:
            if level == self.config.class_level:
                continue
            found = set(self._folders(root) if level == "top" else self._classes_below(root, level))
            if found and found <= set(names):
                return (
                    f"With dataset.class_level={level} the classes are the checkpoint's: "
                    f"{', '.join(sorted(found)[:_SHOWN])}{' ...' if len(found) > _SHOWN else ''}."
                )
        return None

    def _classes_below(self, root: Place, level: str) -> set[str]:
        """Return the classes of all images, without counting any file."""
        if isinstance(root, RemotePath):
            start = len(root.address) + 1
            names = [file.address[start:] for file in remote_images(root, DatasetReport())]
        else:
            start = len(str(root).rstrip("/")) + 1
            walker = Walker(str(root), DatasetReport(), self.config.follow_links)
            names = [path[start:] for path in walker.images_below(str(root))]
        return {class_of(name, level) for name in names if "/" in name}

    def _report_root(self, root: Place) -> None:
        """Count what lies beside the class folders."""
        if isinstance(root, RemotePath):
            return
        walker = self.listing().walker(root)
        walker.folders_in(str(root))
        stray = [Path(path).name for path in walker.images_in(str(root))]
        if stray:
            self.report.pass_over(PassedOver.NO_LABEL, *stray)

    def _folders(self, path: Place) -> list[str]:
        return folders_in(path, follow_links=self.config.follow_links)

    def _choose_split(self, path: Place) -> tuple[Place, str | None, str]:
        wanted = self.config.split
        names = self._folders(path)
        if wanted is None:
            return path, None, ""
        if wanted != "auto":
            if wanted not in names:
                raise InputError(
                    "DATASET_SPLIT",
                    f"dataset.split: '{path}' has no folder '{wanted}'. Expected one of "
                    f"{', '.join(sorted(names)[:10]) or 'its folders, but it has none'}.",
                )
            return path / wanted, wanted, ""
        found = [name for name in _SPLITS if name in names]
        # A single split name beside other folders may be a class; two are splits.
        if found and (set(names) <= set(_SPLITS) or len(found) > 1):
            return path / found[0], found[0], f"took the split '{found[0]}' of {path}"
        return path, None, ""

    def batches(self, info: DatasetInfo) -> Iterator[dict[str, Sequence[Any]]]:
        """Yield one batch per folder of the root; classes and files have the same kind of order."""
        classes = info.classes or ()
        self._report_root(info.root)
        order, level = self.config.class_order, self.config.class_level
        folders = list(classes) if level == "top" else self._folders(info.root)
        folders.sort(key=sort_key(order))  # type: ignore[arg-type]
        index = {name: number for number, name in enumerate(classes)}
        for files in list_images(info.root, folders, order, self.listing()):
            labels = [class_of(unescape_id(file.relative), level) for file in files]
            yield {
                "image_id": [file.relative for file in files],
                "location": [escape_id(file.path) for file in files],
                "size": [file.size for file in files],
                "mtime_ns": [file.mtime_ns for file in files],
                "label": labels,
                "label_id": [index.get(label) for label in labels],
            }


def class_of(name: str, level: str) -> str:
    """Return the class of an image in nested folders.

    Args:
        name: path relative to the folder of the split, at least ``folder/image``.
        level: ``top``, ``leaf`` or ``path``.
    """
    folders = name.rpartition("/")[0]
    if level == "path":
        return folders
    return folders.partition("/")[0] if level == "top" else folders.rpartition("/")[2]
