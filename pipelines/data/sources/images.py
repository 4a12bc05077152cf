"""Images without labels: a folder, an image, or a list of both."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

from snellen.adapters.errors import InputError
from snellen.pipelines.config.dataset import DatasetConfig
from snellen.pipelines.data.sources.base import DatasetInfo, Source
from snellen.pipelines.data.sources.file_listing import (
    ListedFile,
    Listing,
    escape_id,
    folders_in,
    list_images,
    listed_remote,
    sort_key,
    stat_files,
)
from snellen.pipelines.data.sources.tables.image_list import relative_id
from snellen.pipelines.data.walk import images_directly_in, is_folder, is_hidden, not_taken
from snellen.pipelines.storage.remote_path import Place, RemotePath

_SHOWN = 3


class ImagesSource(Source):
    """A folder of images at any depth, or one image; ids are relative paths and therefore unique.

    The images of the folder itself come first, then those of its sub-folders, both in natural
    order (1, 2, 10). Other files are skipped.
    """

    keys: ClassVar[frozenset[str] | None] = frozenset()

    @classmethod
    def recognises(cls, path: Place) -> bool:
        """Return False: any folder matches. Predictions fall back on this format."""
        return False

    def describe(self) -> DatasetInfo:
        """Describe the folder without listing it.

        Raises:
            InputError: DATASET_NOT_FOUND.
        """
        path = self.place(self.config.path)
        if path.is_dir():
            return DatasetInfo(root=path, split=None, classes=None)
        if not path.is_file():
            raise InputError(
                "DATASET_NOT_FOUND",
                f"dataset.path: '{path}' does not exist. Expected a folder or an image.",
            )
        return DatasetInfo(root=path.parent, split=None, classes=None)

    def batches(self, info: DatasetInfo) -> Iterator[dict[str, Sequence[Any]]]:
        """Yield one batch per folder directly in the root."""
        path = self.place(self.config.path)
        if not path.is_dir():
            yield named_files([path], info.root)
            return
        for files in images_below(path, self.listing()):
            yield columns_of(files)


class NamedImagesSource(Source):
    """Paths named one by one, in their order; a folder among them is listed.

    A named link is followed wherever it leads; links inside a folder are not.
    """

    keys: ClassVar[frozenset[str] | None] = frozenset()

    def __init__(self, paths: Sequence[str], config: DatasetConfig) -> None:
        super().__init__(config)
        self._places = [self.place(path) for path in paths]

    @classmethod
    def recognises(cls, path: Place) -> bool:
        """Return False: this source is for a ``dataset.path`` that is a list."""
        return False

    def describe(self) -> DatasetInfo:
        """Describe the paths; the root is their common folder."""
        return DatasetInfo(root=_common_root(self._places), split=None, classes=None)

    def batches(self, info: DatasetInfo) -> Iterator[dict[str, Sequence[Any]]]:
        """Yield one batch per sequence of files, and the batches of each folder."""
        waiting: list[Place] = []
        for place in self._places:
            if not place.is_dir():
                waiting.append(place)
                continue
            if waiting:
                yield named_files(waiting, info.root)
                waiting = []
            for files in images_below(place, self.listing()):
                columns = columns_of(files)
                ids = [relative_id(file.path, info.root) for file in files]
                yield {**columns, "image_id": ids}
        if waiting:
            yield named_files(waiting, info.root)


def check_named(places: Sequence[Place]) -> None:
    """Reject named local paths that do not exist.

    Raises:
        InputError: DATASET_NOT_FOUND, naming the first ones.
    """
    missing = [str(place) for place in places if isinstance(place, Path) and not place.exists()]
    if missing:
        shown = ", ".join(f"'{path}'" for path in missing[:_SHOWN])
        more = f" and {len(missing) - _SHOWN} more" if len(missing) > _SHOWN else ""
        raise InputError(
            "DATASET_NOT_FOUND",
            f"dataset.path: {shown}{more} of {len(places)} images "
            f"{'do' if len(missing) > 1 else 'does'} not exist. Expected paths relative to "
            f"{Path.cwd()}, or absolute ones.",
        )


def images_below(folder: Place, listing: Listing) -> Iterator[list[ListedFile]]:
    """Yield the images directly in a folder, then those below each of its sub-folders."""
    yield _directly_in(folder, listing)
    names = (
        folders_in(folder)
        if isinstance(folder, RemotePath)
        else listing.walker(folder).folders_in(str(folder))
    )
    names.sort(key=sort_key("natural"))  # type: ignore[arg-type]
    yield from list_images(folder, names, "natural", listing)


def has_images(folder: Path) -> bool:
    """Return True if an image is directly in a folder, without listing all of it."""
    with os.scandir(folder) as entries:
        return any(
            not is_hidden(entry.name)
            and not is_folder(entry)
            and not_taken(entry.name, entry.path) is None
            for entry in entries
        )


def _directly_in(folder: Place, listing: Listing) -> list[ListedFile]:
    key = sort_key("natural")
    start = len(str(folder).rstrip("/")) + 1
    if isinstance(folder, RemotePath):
        remote = images_directly_in(folder, listing.report)
        remote.sort(key=lambda file: key(file.name))  # type: ignore[arg-type, return-value]
        return [listed_remote(file, start) for file in remote]
    paths = listing.walker(folder).images_in(str(folder))
    paths.sort(key=key)  # type: ignore[arg-type]
    return [
        ListedFile(escape_id(path[start:]), path, size, mtime)
        for path, (size, mtime) in zip(paths, stat_files(paths), strict=True)
    ]


def columns_of(files: Sequence[ListedFile]) -> dict[str, Sequence[Any]]:
    """Return listed files as columns of the manifest."""
    nothing = [None] * len(files)
    return {
        "image_id": [file.relative for file in files],
        "location": [escape_id(file.path) for file in files],
        "size": [file.size for file in files],
        "mtime_ns": [file.mtime_ns for file in files],
        "label": nothing,
        "label_id": nothing,
    }


def named_files(places: Sequence[Place], root: Place) -> dict[str, Sequence[Any]]:
    """Return named files as columns of the manifest; a missing file becomes a failed row."""
    # realpath: the reader rejects links out of the root, but these files are named by the user.
    paths = [str(p) if isinstance(p, RemotePath) else os.path.realpath(p) for p in places]
    local = [path for path, place in zip(paths, places, strict=True) if isinstance(place, Path)]
    stats = dict(zip(local, stat_files(local), strict=True))
    found = [stats.get(path, (None, None)) for path in paths]
    return {
        "image_id": [relative_id(str(place), root) for place in places],
        "location": [escape_id(path) for path in paths],
        "size": [size for size, _ in found],
        "mtime_ns": [mtime for _, mtime in found],
        "label": [None] * len(places),
        "label_id": [None] * len(places),
    }


def _common_root(places: Sequence[Place]) -> Place:
    local = [str(p if p.is_dir() else p.parent) for p in places if isinstance(p, Path)]
    return Path(os.path.commonpath(local)) if local else places[0].parent
