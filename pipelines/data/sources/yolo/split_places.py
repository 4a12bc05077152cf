"""The folders and lists of images that data.yaml names for each split.

They are found as Ultralytics finds them (``ultralytics.data.utils.check_det_dataset``), and where
that finds nothing, relative to the file itself.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from snellen.adapters.errors import InputError
from snellen.pipelines.data.sources.yolo.data_yaml import SPLITS, DataYaml
from snellen.pipelines.storage.address import Options, is_remote
from snellen.pipelines.storage.remote_path import Place, RemotePath, join, place_of

_ALIASES = {"validation": "val", "valid": "val"}


@dataclass(frozen=True, slots=True)
class SplitPlaces:
    """The images of one split.

    Attributes:
        name: ``test``, ``val`` or ``train``.
        root: folder that image ids are relative to.
        entries: folders and lists of images.
        notes: messages for the user.
    """

    name: str
    root: Place
    entries: tuple[Place, ...]
    notes: tuple[str, ...]


class SplitFinder:
    """Finds the images of the splits of one dataset."""

    def __init__(self, content: DataYaml, options: Options) -> None:
        """Take the content of data.yaml, and the options of remote storage."""
        self._options = options
        self._file = content.file
        self._document: dict[str, Any] = content.document

    def find(self, wanted: str | None) -> SplitPlaces:
        """Find the images of a split; None or ``auto`` for the first that exists.

        Raises:
            InputError: DATASET_SPLIT, no such key; DATASET_NOT_FOUND, none of its images.
        """
        has = [name for name in SPLITS if self._document.get(name)]
        if not has:
            raise InputError(
                "DATASET_SPLIT", f"'{self._file}' has no split. Expected test, val or train."
            )
        if wanted not in (None, "auto"):
            name = _ALIASES.get(str(wanted), str(wanted))
            if name not in has:
                raise InputError(
                    "DATASET_SPLIT",
                    f"dataset.split: '{self._file}' has no split '{wanted}'. Expected one of "
                    f"{', '.join(has)}.",
                )
            return self._found(name) or self._raise_missing(name)
        skipped: list[str] = []
        for name in has:
            found = self._found(name)
            if found is not None:
                note = f"took the split '{name}' of {self._file}"
                return SplitPlaces(name, found.root, found.entries, (*skipped, note, *found.notes))
            skipped.append(f"skipped the split '{name}': {self._document[name]} does not exist")
        return self._raise_missing(has[0])

    def _found(self, name: str) -> SplitPlaces | None:
        for root in self._roots():
            places, notes = [], []
            for entry in self._entries(name):
                place, note = self._existing(root, entry)
                places.append(place)
                notes += [note] if note else []
            entries = tuple(place for place in places if place is not None)
            if len(entries) == len(places):
                return SplitPlaces(name, _root_of(root, entries), entries, tuple(notes))
        return None

    def _existing(self, root: Place, entry: str) -> tuple[Place | None, str | None]:
        """Return the place of an entry; ``../train/images`` may mean ``train/images``."""
        place = place_of(join(root, entry), self._options)
        if place.exists():
            return place, None
        if entry.startswith("../"):
            inside = place_of(join(root, entry[3:]), self._options)
            if inside.exists():
                return inside, f"read '{entry}' as '{entry[3:]}', as Ultralytics does"
        return None, None

    def _raise_missing(self, name: str) -> SplitPlaces:
        tried = dict.fromkeys(
            join(root, entry) for root in self._roots() for entry in self._entries(name)
        )
        raise InputError(
            "DATASET_NOT_FOUND",
            f"'{self._file}': split '{name}': {' or '.join(repr(one) for one in tried)} does not "
            "exist. Expected a folder or a list of images. Set path in the file to the folder of "
            "the dataset.",
        )

    def _entries(self, name: str) -> list[str]:
        written = self._document[name]
        return [str(entry) for entry in (written if isinstance(written, list) else [written])]

    def _roots(self) -> Iterator[Place]:
        """Yield the folders that splits may be relative to, the likeliest first."""
        written = self._document.get("path")
        beside = self._file.parent
        if written is not None and (is_remote(str(written)) or isinstance(beside, RemotePath)):
            yield place_of(join(beside, str(written)), self._options)
        elif written is not None:
            path = Path(str(written)).expanduser()
            datasets = _datasets_folder()
            for base in (Path.cwd(), beside, *(() if datasets is None else (datasets,))):
                found = place_of(join(base, str(path)), ())
                if found.is_dir():
                    yield found
        yield beside


def _root_of(root: Place, entries: Sequence[Place]) -> Place:
    """Return the root, or the common folder of local entries that are not all below it."""
    folders = [entry for entry in entries if isinstance(entry, Path) and entry.is_dir()]
    if not isinstance(root, Path) or all(folder.is_relative_to(root) for folder in folders):
        return root
    common = Path(os.path.commonpath([root, *folders]))
    return root if common == Path(common.anchor) else common


def _datasets_folder() -> Path | None:
    """Return the folder of datasets in the settings of Ultralytics."""
    config = Path(os.environ.get("YOLO_CONFIG_DIR", "~/.config/Ultralytics")).expanduser()
    try:
        found = json.loads((config / "settings.json").read_bytes())["datasets_dir"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return Path(found) if isinstance(found, str) else None
