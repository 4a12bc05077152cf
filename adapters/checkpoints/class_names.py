"""Search for the class names of a timm run, which its checkpoints do not store."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping
from itertools import groupby
from pathlib import Path
from typing import Any

from snellen.adapters.errors import InputError
from snellen.adapters.text_files import read_class_names

NAME_FILES = ("class_names.txt", "classes.txt")
_ABOVE = 3
"""Folders above a run directory: timm writes to ``output/train/NAME`` of its working folder."""
_IMAGE_SUFFIXES = frozenset((".png", ".jpg", ".jpeg"))


NaturalKey = tuple[list[int | str], str]
"""Parts of a name as timm compares them, then the name itself."""


def natural_key(text: str) -> NaturalKey:
    """Return a sort key as timm orders class folders: 1, 2, 10, ignoring case.

    timm does not order names that differ in case or leading zeros only (``A`` and ``a``, ``1`` and
    ``01``). Here the names themselves decide, so that the order is always the same.
    """
    parts = re.split(r"(\d+)", text.lower())
    return [int(part) if part.isdecimal() else part for part in parts], text


def ambiguous_names(names: Iterable[str]) -> tuple[str, ...]:
    """Return the first names that timm does not order: their order differs between its runs."""
    for _, group in groupby(sorted(names, key=natural_key), key=lambda name: natural_key(name)[0]):
        same = tuple(group)
        if len(same) > 1:
            return same
    return ()


Readable = Callable[[Path], bool]
"""Predicate: may a file or folder be read?"""


def anything(_: Path) -> bool:
    """Return True: on the command line, the user may read every path."""
    return True


def find_class_names(
    directory: Path, args: Mapping[str, Any], readable: Readable = anything
) -> tuple[tuple[str, ...] | None, str | None]:
    """Find the class names of a timm run.

    Candidates, in this order: a file ``class_names.txt`` or ``classes.txt`` in the run directory
    (one name per line); the class map named in its arguments; the folders of the training images
    named in its arguments, in timm's natural order, if they exist on this machine. Relative paths
    of the arguments are relative to the folder that the training was started in, which they do not
    tell: they are looked up in the working folder, in the run directory and in the `_ABOVE` folders
    above it.

    Args:
        directory: of the run.
        args: arguments of the run; they are not trusted.
        readable: called before anything outside of ``directory`` is read.

    Returns:
        The names and their source; None and the reason for which the first candidate is ignored,
        or a relative path is not found; None and None without a candidate.
    """
    try:
        return _find(directory, args, readable)
    except InputError as error:
        return None, f"ignored class names: {error.message}"


def _find(
    directory: Path, args: Mapping[str, Any], readable: Readable
) -> tuple[tuple[str, ...] | None, str | None]:
    for name in NAME_FILES:
        names = _lines(directory / name)
        if names:
            return names, name
    root = args.get("data_dir") or args.get("data")
    class_map = args.get("class_map")
    if isinstance(class_map, str) and class_map.endswith(".txt"):
        for named in (Path(class_map), Path(str(root or ".")) / class_map):
            for path in _places(named, directory):
                names = _lines(path) if readable(path) else ()
                if names:
                    return names, f"class map {path}"
    elif isinstance(root, str) and root and not args.get("dataset"):
        return _of_folders(root, directory, str(args.get("train_split") or "train"), readable)
    return None, None


def _of_folders(
    root: str, directory: Path, split: str, readable: Readable
) -> tuple[tuple[str, ...] | None, str | None]:
    """Return the names of the folders of the training images, and their source."""
    for place in _places(Path(root), directory):
        if readable(place) and place.is_dir():
            folder = _split_folder(place, split)
            names = _folders(folder)
            if names:
                return names, f"folders of {folder}"
    if Path(root).is_absolute():
        return None, None
    return None, (
        f"ignored data_dir '{root}': it is relative, and neither the working folder nor the run "
        "directory nor the folders above it have class folders there"
    )


def _places(path: Path, directory: Path) -> list[Path]:
    """Return where a path of the arguments may lie: once if it is absolute."""
    if path.is_absolute():
        return [path]
    folder = directory.absolute()
    return [path, *(above / path for above in (folder, *folder.parents[:_ABOVE]))]


def _lines(path: Path) -> tuple[str, ...]:
    return read_class_names(path) if path.is_file() else ()


def _split_folder(root: Path, split: str) -> Path:
    """Return the folder of a split as timm does: its name, a synonym, or the root itself."""
    name = split.split("[")[0]
    synonyms = ["train", "training"] if name in ("train", "training") else []
    for candidate in [name, *synonyms]:
        if (root / candidate).is_dir():
            return root / candidate
    return root


def _folders(root: Path) -> tuple[str, ...]:
    found = set()
    for folder, _, files in os.walk(root, followlinks=True):
        if any(os.path.splitext(file)[1].lower() in _IMAGE_SUFFIXES for file in files):  # noqa: PTH122
            found.add(Path(folder).name if Path(folder) != root else "")
    # Images directly in the root have no class; timm would call theirs "".
    if not found or "" in found:
        return ()
    same = ambiguous_names(found)
    if same:
        raise InputError(
            "DATASET_CLASS_ORDER",
            f"timm does not order the folders {' and '.join(same)} of '{root}'. Expected a file "
            f"{NAME_FILES[0]} in the run directory, in the order of the outputs.",
        )
    return tuple(sorted(found, key=natural_key))
