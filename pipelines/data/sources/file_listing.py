"""Listing of a folder tree, in parallel, with the size and modification time of every image.

``os.scandir`` returns names and types of a few thousand entries per system call. ``stat`` is one
call per image, whose latency on network storage is hidden by threads.
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
from snellen.pipelines.data.report import DatasetReport
from snellen.pipelines.data.walk import Walker, is_folder, is_hidden, remote_images
from snellen.pipelines.storage.remote_path import Place, RemotePath

_ESCAPE = re.compile(r"\\(\\|x[0-9a-f]{2})")
_THREADS = 16
_CHUNK = 512
Stat = tuple[int | None, int | None]
"""Bytes and modification time in nanoseconds; None if unknown."""
_In = TypeVar("_In")
_Out = TypeVar("_Out")


def sort_key(order: str) -> Callable[[str], object]:
    """Return the sort key of ``natural`` (1, 2, 10) or ``lexicographic`` (1, 10, 2) order."""
    return natural_key if order == "natural" else str


@dataclass(frozen=True, slots=True)
class Listing:
    """Settings of a listing: the report of what is passed over, and links to folders."""

    report: DatasetReport
    follow_links: bool = False

    def walker(self, root: Place) -> Walker:
        """Return the walker of a local root."""
        return Walker(str(root), self.report, self.follow_links)


@dataclass(frozen=True, slots=True)
class ListedFile:
    """A listed file: its path relative to the root (POSIX), its size and modification time (ns)."""

    relative: str
    path: str
    size: int | None
    mtime_ns: int | None


def escape_id(text: str) -> str:
    r"""Return a reversible UTF-8 form of a file name, which may contain arbitrary bytes.

    Bytes that are not UTF-8 become ``\xNN`` and a backslash becomes two; everything else is
    unchanged, NFC or NFD.
    """
    if "\\" not in text and text.isascii():
        return text
    escaped = text.replace("\\", "\\\\")
    return "".join(
        f"\\x{ord(char) - 0xDC00:02x}" if 0xDC80 <= ord(char) <= 0xDCFF else char
        for char in escaped
    )


def unescape_id(text: str) -> str:
    """Return the file name that `escape_id` escaped."""
    if "\\" not in text:
        return text
    return _ESCAPE.sub(
        lambda found: "\\" if found[1] == "\\" else chr(0xDC00 + int(found[1][1:], 16)), text
    )


def folders_in(path: Place, *, follow_links: bool = False) -> list[str]:
    """Return the names of the folders directly below ``path``, without hidden ones."""
    if isinstance(path, RemotePath):
        folders = path.below(recursive=False)[1]
        return [folder.name for folder in folders if not is_hidden(folder.name)]
    with os.scandir(path) as entries:
        return [
            entry.name
            for entry in entries
            if not is_hidden(entry.name)
            and (is_folder(entry) if follow_links else entry.is_dir(follow_symlinks=False))
        ]


def _stat_chunk(paths: Sequence[str]) -> list[Stat]:
    found: list[Stat] = []
    for path in paths:
        try:
            stat = os.stat(path)  # noqa: PTH116 (a Path object costs more than the call)
            found.append((stat.st_size, stat.st_mtime_ns))
        except OSError:
            # A file that vanished or cannot be read becomes a failed row of the run.
            found.append((None, None))
    return found


def stat_files(paths: Sequence[str]) -> list[Stat]:
    """Return (bytes, mtime in ns) of each path, in parallel; (None, None) for a missing file."""
    chunks = [paths[i : i + _CHUNK] for i in range(0, len(paths), _CHUNK)]
    with ThreadPoolExecutor(_THREADS) as pool:
        return [item for chunk in pool.map(_stat_chunk, chunks) for item in chunk]


def ahead(
    pool: ThreadPoolExecutor, work: Callable[[_In], _Out], items: Sequence[_In], window: int
) -> Iterator[_Out]:
    """Yield ``map(work, items)`` in order, computed ahead in a window of items."""
    running = deque(pool.submit(work, item) for item in items[:window])
    for index in range(len(items)):
        done = running.popleft().result()
        if index + window < len(items):
            running.append(pool.submit(work, items[index + window]))
        yield done


def list_images(
    root: Place, folders: Sequence[str], order: str, listing: Listing
) -> Iterator[list[ListedFile]]:
    """List the images of each folder in turn, sorted by relative path within the folder.

    Args:
        root: start of the relative paths.
        folders: names of folders in the root, in the order of listing.
        order: ``natural`` or ``lexicographic``.
        listing: how links are treated, and the report of what is passed over.

    Yields:
        One list per folder, so that memory is bounded by the largest folder.
    """
    key = sort_key(order)
    with ThreadPoolExecutor(_THREADS) as pool:
        # A window of folders is listed ahead of the yielded one.
        if isinstance(root, RemotePath):
            start = len(root.address)

            def remote(folder: RemotePath) -> list[RemotePath]:
                return remote_images(folder, listing.report, start)

            for files in ahead(pool, remote, [root / name for name in folders], _THREADS):
                files.sort(key=lambda file: key(file.address[start + 1 :]))  # type: ignore[arg-type, return-value]
                yield [listed_remote(file, start + 1) for file in files]
            return
        prefix = len(str(root).rstrip("/")) + 1
        walker = listing.walker(root)

        def local(folder: str) -> list[str]:
            return list(walker.images_below(folder))

        for paths in ahead(pool, local, [str(root / name) for name in folders], _THREADS):
            paths.sort(key=lambda path: key(path[prefix:]))  # type: ignore[arg-type, return-value]
            chunks = [paths[i : i + _CHUNK] for i in range(0, len(paths), _CHUNK)]
            stats = [item for chunk in pool.map(_stat_chunk, chunks) for item in chunk]
            yield [
                ListedFile(escape_id(path[prefix:]), path, size, mtime)
                for path, (size, mtime) in zip(paths, stats, strict=True)
            ]


def listed_remote(file: RemotePath, start: int) -> ListedFile:
    """Return a remote file as listed; ``start`` is where its relative name begins."""
    found = file.stat()
    return ListedFile(
        escape_id(file.address[start:]), file.address, found.st_size, found.st_mtime_ns
    )
