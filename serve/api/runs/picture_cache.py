"""Pictures on disk, each made once, within a limit of bytes."""

from __future__ import annotations

import hashlib
import os
import shutil
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

from snellen.store.atomic_file import TEMPORARY_PREFIX

FOLDER = ".pictures"
"""Folder of the cache, below the folder of the runs. It may be deleted at any time."""
_KEPT_SHARE = 0.8


class PictureCache:
    """Least recently used files below a folder. Several processes may share it."""

    def __init__(self, folder: Path, max_bytes: int) -> None:
        """Use a folder; 0 bytes keep nothing."""
        self._folder = folder
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self._bytes: int | None = None

    def get(self, group: str, key: str, make: Callable[[], bytes]) -> bytes:
        """Return the picture of a key; ``make`` is called if it is not there.

        Args:
            group: pictures that are deleted together.
            key: of the picture, among all groups.
            make: returns the picture.

        Raises:
            Exception: whatever ``make`` raises. A disk that is full or read-only is no error.
        """
        path = self._folder_of(group) / _hash(key)
        with suppress(OSError):
            data = path.read_bytes()
            os.utime(path)  # recently used
            return data
        data = make()
        if len(data) <= self._max_bytes:
            with suppress(OSError):
                self._put(path, data)
        return data

    def forget(self, group: str) -> None:
        """Delete all pictures of a group."""
        folder = self._folder_of(group)
        with self._lock:
            if folder.is_dir():
                shutil.rmtree(folder, ignore_errors=True)
                self._bytes = None  # counted again by the next picture

    def forget_others(self, groups: Iterable[str]) -> None:
        """Delete the pictures of all groups but these."""
        kept = {self._folder_of(group) for group in groups}
        with self._lock:
            for folder in set(self._folder.glob("*/")) - kept:
                shutil.rmtree(folder, ignore_errors=True)
                self._bytes = None

    def _folder_of(self, group: str) -> Path:
        return self._folder / _hash(group)[:24]

    def _put(self, path: Path, data: bytes) -> None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        temporary = path.with_name(f"{TEMPORARY_PREFIX}{threading.get_ident()}-{path.name}")
        temporary.write_bytes(data)
        temporary.replace(path)
        with self._lock:
            if self._bytes is None:
                self._bytes = sum(size for _, size, _ in self._files())
            else:
                self._bytes += len(data)
            if self._bytes > self._max_bytes:
                self._evict()

    def _evict(self) -> None:
        """Remove the files that were not used for the longest time."""
        left = self._max_bytes * _KEPT_SHARE
        files = sorted(self._files())
        total = sum(size for _, size, _ in files)
        for _, size, path in files:
            if total <= left:
                break
            with suppress(OSError):
                path.unlink()
            total -= size
        self._bytes = total

    def _files(self) -> list[tuple[float, int, Path]]:
        found = []
        for path in self._folder.glob("*/*"):
            with suppress(OSError):
                stat = path.stat()
                found.append((stat.st_mtime, stat.st_size, path))
        return found


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
