"""Read one image file: whole, regular, unchanged, and inside of the data set."""

from __future__ import annotations

import os
import stat
from functools import lru_cache
from pathlib import Path

from adapters.types import ErrorCode, ErrorStage, ImageError

MAX_BYTES = 20 * 2**20
"""Larger files are refused before they are read."""


def read_image(
    location: str,
    *,
    size: int | None,
    mtime_ns: int | None,
    root: Path,
    follow_links: bool = False,
    member: tuple[int, int] | None = None,
) -> bytes:
    """The bytes of an image file.

    Args:
        location: absolute path.
        size, mtime_ns: what the manifest recorded, or None where it did not.
        root: links and ``..`` may not lead from inside of it to outside of it.
        follow_links: allow links that do.
        member: offset and length of the image inside of the file; ``size`` is the file's.

    Raises:
        ImageError: stage ``read``; NOT_FOUND, PATH_ESCAPE, IO, EMPTY, BYTE_LIMIT or CHANGED.
    """
    path = _contained(location, str(root), follow_links)
    try:
        # O_NONBLOCK: opening a FIFO without a writer would wait for ever.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        raise _error(ErrorCode.NOT_FOUND, "the file does not exist any more") from None
    except (OSError, ValueError) as error:
        raise _error(ErrorCode.IO, _reason(error)) from None
    try:
        with os.fdopen(descriptor, "rb", buffering=0) as file:
            found = os.fstat(descriptor)
            _check_unchanged(found, size, mtime_ns)
            offset, length = member or (0, found.st_size)
            _check_length(length)
            data = os.pread(descriptor, length, offset) if member else file.readall()
    except OSError as error:
        raise _error(ErrorCode.IO, _reason(error)) from None
    if len(data) != length:
        raise _error(ErrorCode.CHANGED, f"{len(data)} bytes were read of {length}")
    return data


def _check_unchanged(found: os.stat_result, size: int | None, mtime_ns: int | None) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise _error(ErrorCode.IO, "not a regular file")
    if size is not None and found.st_size != size:
        raise _error(
            ErrorCode.CHANGED,
            f"the file has {found.st_size} bytes, and had {size} when the run was planned",
        )
    if mtime_ns is not None and found.st_mtime_ns != mtime_ns:
        raise _error(ErrorCode.CHANGED, "the file was written to since the run was planned")


def _check_length(length: int) -> None:
    if length == 0:
        raise _error(ErrorCode.EMPTY, "the file has 0 bytes")
    if length > MAX_BYTES:
        raise _error(ErrorCode.BYTE_LIMIT, f"the file has {length} bytes; the limit is {MAX_BYTES}")


def _contained(location: str, root: str, follow_links: bool) -> str:
    lexical = os.path.normpath(location)
    if not location.startswith(root.rstrip("/") + "/"):
        return lexical  # an absolute path that the manifest names outright
    if not _below(lexical, root):
        raise _error(ErrorCode.PATH_ESCAPE, "the path leads out of the data set")
    if not follow_links:
        folder, name = os.path.split(lexical)
        real = os.path.join(_real_folder(folder), name)  # noqa: PTH118
        if os.path.islink(real):  # noqa: PTH114
            real = os.path.realpath(real)
        if not _below(real, _real_folder(root)):
            raise _error(
                ErrorCode.PATH_ESCAPE,
                "a link leads out of the data set; dataset.follow_links allows that",
            )
    return lexical


def _below(path: str, root: str) -> bool:
    return path.startswith(root.rstrip("/") + "/")


@lru_cache(maxsize=65_536)
def _real_folder(folder: str) -> str:
    return os.path.realpath(folder)


def _error(code: ErrorCode, message: str) -> ImageError:
    return ImageError(ErrorStage.READ, code, message)


def _reason(error: Exception) -> str:
    # The path stands in its own column; strerror alone keeps messages equal and short.
    return getattr(error, "strerror", None) or str(error)
