"""The images of a split of a YOLO dataset: those below folders, and those in lists."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from snellen.adapters.errors import InputError
from snellen.adapters.text_files import TextEncodingError, decode_text, lines_of
from snellen.pipelines.data.report import PassedOver
from snellen.pipelines.data.sources.file_listing import Listing, Stat, sort_key
from snellen.pipelines.data.sources.yolo.split_places import SplitPlaces
from snellen.pipelines.data.walk import not_taken, remote_images
from snellen.pipelines.storage.address import Options, is_remote
from snellen.pipelines.storage.remote_path import Place, RemotePath, join


class ImageEntries:
    """Lists the images of one split once.

    Attributes:
        stats: sizes and times of remote images.
    """

    def __init__(self, split: SplitPlaces, listing: Listing, options: Options) -> None:
        """Take a split, the settings of its listing, and the options of remote storage."""
        self._options = options
        self._split = split
        self._listing = listing
        self.stats: dict[str, Stat] = {}

    def paths(self) -> list[str]:
        """Return the images in natural order of their paths; duplicates are counted.

        Raises:
            InputError: DATASET_UNREADABLE, a list that is no text.
        """
        found: dict[str, None] = {}
        for entry in self._split.entries:
            for path in self._walk(entry) if entry.is_dir() else self._listed(entry):
                if path in found:
                    self._listing.report.pass_over(PassedOver.DUPLICATE, self._name(path))
                found[path] = None
        return sorted(found, key=sort_key("natural"))  # type: ignore[arg-type]

    def _walk(self, folder: Place) -> Iterator[str]:
        if not isinstance(folder, RemotePath):
            yield from self._listing.walker(folder).images_below(str(folder))
            return
        for file in remote_images(folder, self._listing.report):
            self.stats[str(file)] = (file.stat().st_size, file.stat().st_mtime_ns)
            yield str(file)

    def _listed(self, file: Place) -> Iterator[str]:
        try:
            lines = [line.strip() for line in lines_of(decode_text(file.read_bytes()))]
        except TextEncodingError as error:
            raise InputError("DATASET_UNREADABLE", f"'{file}' cannot be read: {error}") from None
        base = self._base(file, lines)
        for line in filter(None, lines):
            folder = file.parent if line.startswith("./") else base
            path = join(folder, line.removeprefix("./"))
            if isinstance(file, Path) and not is_remote(path):
                path = os.path.normpath(path)
            place = RemotePath(path, self._options) if is_remote(path) else path
            reason = not_taken(Path(line).name, place)
            if reason in (None, PassedOver.UNREADABLE):
                yield path
            else:
                self._listing.report.pass_over(reason, self._name(path))

    def _base(self, file: Place, lines: list[str]) -> Place:
        """Return the folder that the lines of a list are relative to: its own, if they are there.

        Ultralytics takes lines without ``./`` as relative to the working directory.
        """
        relative = (line for line in lines if line and not line.startswith(("./", "/")))
        first = next((line for line in relative if not is_remote(line)), None)
        if first is None or not isinstance(file, Path):
            return file.parent
        bases = (file.parent, self._split.root, Path.cwd())
        return next((base for base in bases if Path(join(base, first)).exists()), file.parent)

    def _name(self, path: str) -> str:
        return path.removeprefix(f"{self._split.root}/")
