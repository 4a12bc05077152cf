"""List a folder tree once, in parallel, with size and mtime of every image.

``os.scandir`` gives names and types in one system call a few thousand entries; ``stat`` is one
call an image, which on network storage is latency, not work: hence threads.
"""

from __future__ import annotations

import os
import re
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from snellen.adapters.checkpoints.class_names import natural_key
from snellen.pipelines.storage.remote_path import Place, RemotePath

IMAGE_SUFFIXES = frozenset(
    f".{suffix}"
    for suffix in (
        *("jpg", "jpeg", "jpe", "jfif", "png", "webp", "bmp", "gif", "tif", "tiff"),
        *("ppm", "pgm", "pbm", "avif"),
    )
)
"""Files with other endings are no images; what cannot be decoded becomes a failed row."""
_ESCAPE = re.compile(r"\\(\\|x[0-9a-f]{2})")
_THREADS = 16
_CHUNK = 512
Stat = tuple[int | None, int | None]
"""Bytes and mtime in nanoseconds, as far as they are known."""
_In = TypeVar("_In")
_Out = TypeVar("_Out")


def sort_key(order: str) -> Callable[[str], object]:
    """Key of ``natural`` (1, 2, 10) or ``lexicographic`` (1, 10, 2) order."""
    return natural_key if order == "natural" else str


@dataclass(frozen=True, slots=True)
class ListedFile:
    """One file: path relative to the root with POSIX separators, bytes, nanoseconds."""

    relative: str
    path: str
    size: int | None
    mtime_ns: int | None


def escape_id(text: str) -> str:
    r"""A reversible UTF-8 form of a file name that may hold arbitrary bytes.

    Bytes that are not UTF-8 become ``\xNN`` and a backslash becomes two; everything else is
    kept as it is, NFC or NFD.
    """
    if "\\" not in text and text.isascii():
        return text
    escaped = text.replace("\\", "\\\\")
    return "".join(
        f"\\x{ord(char) - 0xDC00:02x}" if 0xDC80 <= ord(char) <= 0xDCFF else char
        for char in escaped
    )


def unescape_id(text: str) -> str:
    """The file name that ``escape_id`` was given."""
    if "\\" not in text:
        return text
    return _ESCAPE.sub(
        lambda found: "\\" if found[1] == "\\" else chr(0xDC00 + int(found[1][1:], 16)), text
    )


def folders_in(path: Place, *, follow_links: bool = False) -> list[str]:
    """Names of the folders directly below ``path``; hidden ones are left out."""
    if isinstance(path, RemotePath):
        folders = path.below(recursive=False)[1]
        return [folder.name for folder in folders if not folder.name.startswith(".")]
    with os.scandir(path) as entries:
        return [
            entry.name
            for entry in entries
            if not entry.name.startswith(".") and entry.is_dir(follow_symlinks=follow_links)
        ]


def walk(folder: str) -> Iterator[str]:
    """Paths of the image files below ``folder``; a link to a folder is never followed."""
    subfolders: list[str] = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if entry.is_dir(follow_symlinks=False):
                subfolders.append(entry.path)
            elif os.path.splitext(entry.name)[1].lower() in IMAGE_SUFFIXES:  # noqa: PTH122
                yield entry.path
    for subfolder in subfolders:
        yield from walk(subfolder)


def _walk_list(folder: str) -> list[str]:
    return list(walk(folder))


def _stat_chunk(paths: Sequence[str]) -> list[Stat]:
    found: list[Stat] = []
    for path in paths:
        try:
            stat = os.stat(path)  # noqa: PTH116 (a Path object costs more than the call)
            found.append((stat.st_size, stat.st_mtime_ns))
        except OSError:
            # It vanished or cannot be read: the run says which, as a failed row.
            found.append((None, None))
    return found


def stat_files(paths: Sequence[str]) -> list[Stat]:
    """(bytes, mtime in nanoseconds) of each path, in parallel; (None, None) where there is none."""
    chunks = [paths[i : i + _CHUNK] for i in range(0, len(paths), _CHUNK)]
    with ThreadPoolExecutor(_THREADS) as pool:
        return [item for chunk in pool.map(_stat_chunk, chunks) for item in chunk]


def remote_images(folder: RemotePath) -> list[RemotePath]:
    """Image files below a remote folder with size and time; hidden ones are left out.

    One request a thousand files; their list is held at once.
    """
    start = len(folder.address) + 1
    return [
        file
        for file in folder.below(recursive=True)[0]
        if file.suffix.lower() in IMAGE_SUFFIXES
        and not any(part.startswith(".") for part in file.address[start:].split("/"))
    ]


def _list_remote(root: RemotePath, names: Sequence[str], order: str) -> Iterator[list[ListedFile]]:
    """``list_images`` of a remote root; the next folders are listed meanwhile."""
    key = sort_key(order)
    start = len(root.address) + 1
    with ThreadPoolExecutor(_THREADS) as pool:
        for files in ahead(pool, remote_images, [root / name for name in names], _THREADS):
            files.sort(key=lambda file: key(file.address[start:]))  # type: ignore[arg-type, return-value]
            yield [
                ListedFile(
                    escape_id(file.address[start:]),
                    file.address,
                    file.stat().st_size,
                    file.stat().st_mtime_ns,
                )
                for file in files
            ]


def ahead(
    pool: ThreadPoolExecutor, work: Callable[[_In], _Out], items: Sequence[_In], window: int
) -> Iterator[_Out]:
    """``map(work, items)`` in order, where a window of items is worked at ahead of its user."""
    running = deque(pool.submit(work, item) for item in items[:window])
    for index in range(len(items)):
        done = running.popleft().result()
        if index + window < len(items):
            running.append(pool.submit(work, items[index + window]))
        yield done


def list_images(root: Place, folders: Sequence[str], order: str) -> Iterator[list[ListedFile]]:
    """List the images of each folder in turn, sorted by relative path within the folder.

    Args:
        root: what relative paths start from.
        folders: names of folders in it, in the order wanted.
        order: ``natural`` or ``lexicographic``.

    Yields:
        One list a folder, so that memory is bounded by the largest folder.
    """
    if isinstance(root, RemotePath):
        yield from _list_remote(root, folders, order)
        return
    key = sort_key(order)
    prefix = len(str(root).rstrip("/")) + 1
    with ThreadPoolExecutor(_THREADS) as pool:
        # A window of listings runs ahead of the folder that is being yielded.
        for paths in ahead(pool, _walk_list, [str(root / name) for name in folders], _THREADS):
            paths.sort(key=lambda path: key(path[prefix:]))  # type: ignore[arg-type, return-value]
            chunks = [paths[i : i + _CHUNK] for i in range(0, len(paths), _CHUNK)]
            stats = [item for chunk in pool.map(_stat_chunk, chunks) for item in chunk]
            yield [
                ListedFile(escape_id(path[prefix:]), path, size, mtime)
                for path, (size, mtime) in zip(paths, stats, strict=True)
            ]
