"""Class names of a run that did not store them, in the order of its model's outputs."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

NAME_FILES = ("class_names.txt", "classes.txt")
_IMAGE_SUFFIXES = frozenset((".png", ".jpg", ".jpeg"))


def natural_key(text: str) -> list[int | str]:
    """Order text as timm orders class folders: 1, 2, 10, and without regard to case."""
    parts = re.split(r"(\d+)", text.lower())
    return [int(part) if part.isdigit() else part for part in parts]


Readable = Callable[[Path], bool]
"""Whether a file or folder may be looked at."""


def anything(_: Path) -> bool:
    """Every path may be looked at: the user of a command line has named it."""
    return True


def find_class_names(
    directory: Path, args: Mapping[str, Any], readable: Readable = anything
) -> tuple[tuple[str, ...], str] | None:
    """Find the class names of a timm run.

    Looked for in this order: a file ``class_names.txt`` or ``classes.txt`` of the run directory
    (one name a line); the class map that its arguments name; the folders of the training images
    that its arguments name, in timm's natural order, where they are on this machine.

    Args:
        directory: of the run.
        args: of the run, which somebody else may have written.
        readable: asked before anything outside of ``directory`` is looked at.

    Returns:
        The names and where they come from, or None.
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
    """Find the folder of a split as timm does: its name, a synonym, or the root itself."""
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
