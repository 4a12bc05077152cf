"""Search for the class names of a timm run, which its checkpoints do not store."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

NAME_FILES = ("class_names.txt", "classes.txt")
_IMAGE_SUFFIXES = frozenset((".png", ".jpg", ".jpeg"))


def natural_key(text: str) -> list[int | str]:
    """Return a sort key as timm orders class folders: 1, 2, 10, ignoring case."""
    parts = re.split(r"(\d+)", text.lower())
    return [int(part) if part.isdigit() else part for part in parts]


Readable = Callable[[Path], bool]
"""Predicate: may a file or folder be read?"""


def anything(_: Path) -> bool:
    """Return True: on the command line, the user may read every path."""
    return True


def find_class_names(
    directory: Path, args: Mapping[str, Any], readable: Readable = anything
) -> tuple[tuple[str, ...], str] | None:
    """Find the class names of a timm run.

    Candidates, in this order: a file ``class_names.txt`` or ``classes.txt`` in the run directory
    (one name per line); the class map named in its arguments; the folders of the training images
    named in its arguments, in timm's natural order, if they exist on this machine.

    Args:
        directory: of the run.
        args: arguments of the run; they are not trusted.
        readable: called before anything outside of ``directory`` is read.

    Returns:
        The names and their source, or None.
    """
    for name in NAME_FILES:
        names = _lines(directory / name)
        if names:
            return names, name
    root = args.get("data_dir") or args.get("data")
    class_map = args.get("class_map")
    if isinstance(class_map, str) and class_map.endswith(".txt"):
        for path in (Path(class_map), Path(str(root or ".")) / class_map):
            names = _lines(path) if readable(path) else ()
            if names:
                return names, f"class map {path}"
    elif isinstance(root, str) and _is_folder(root, readable) and not args.get("dataset"):
        split = _split_folder(Path(root), str(args.get("train_split") or "train"))
        names = _folders(split)
        if names:
            return names, f"folders of {split}"
    return None


def _is_folder(path: str, readable: Readable) -> bool:
    return readable(Path(path)) and Path(path).is_dir()


def _lines(path: Path) -> tuple[str, ...]:
    if not path.is_file():
        return ()
    lines = path.read_text(encoding="utf-8").splitlines()
    return tuple(line.strip() for line in lines if line.strip())


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
    return tuple(sorted(found, key=natural_key)) if found and "" not in found else ()
