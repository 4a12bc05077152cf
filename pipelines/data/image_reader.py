"""Read one image file: whole, regular, unchanged, and inside of the data set.

An image of remote storage costs two requests on S3, one for its size and time and one for its
bytes (of a tar shard: those of the image alone); other storage may take a third.
"""

from __future__ import annotations

import os
import stat
from functools import lru_cache

from snellen.adapters.errors import ErrorCode, ErrorStage, ImageError, SnellenError
from snellen.adapters.images.decode import MAX_BYTES
from snellen.pipelines.storage.address import Options, escapes, is_remote
from snellen.pipelines.storage.clients import RemoteStat, StorageError
from snellen.pipelines.storage.remote_path import Place, RemotePath


def read_image(
    location: str,
    *,
    size: int | None,
    mtime_ns: int | None,
    root: Place,
    follow_links: bool = False,
    member: tuple[int, int] | None = None,
    storage: Options = (),
) -> bytes:
    """The bytes of an image file.

    Args:
        location: absolute path, or address.
        size, mtime_ns: what the manifest recorded, or None where it did not.
        root: links and ``..`` may not lead from inside of it to outside of it.
        follow_links: allow links that do.
        member: offset and length of the image inside of the file; ``size`` is the file's.
        storage: how remote storage is reached.

    Raises:
        ImageError: stage ``read``; NOT_FOUND, PATH_ESCAPE, IO, EMPTY, BYTE_LIMIT or CHANGED.
    """
    if is_remote(location):
        return _read_remote(RemotePath(location, storage), size, mtime_ns, member)
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
            if not stat.S_ISREG(found.st_mode):
                raise _error(ErrorCode.IO, "not a regular file")
            _check_unchanged(found, size, mtime_ns)
            offset, length = member or (0, found.st_size)
            _check_length(length)
            data = os.pread(descriptor, length, offset) if member else file.readall()
    except OSError as error:
        raise _error(ErrorCode.IO, _reason(error)) from None
    if len(data) != length:
        raise _error(ErrorCode.CHANGED, f"{len(data)} bytes were read of {length}")
    return data


def _read_remote(
    file: RemotePath, size: int | None, mtime_ns: int | None, member: tuple[int, int] | None
) -> bytes:
    """The same of remote storage, which is asked again where that can help: see `clients`.

    Its times have whole seconds: an object that is replaced within the second in which it was
    written, by one of the same size, is not seen to be another.
    """
    if escapes(file.address):
        raise _error(ErrorCode.PATH_ESCAPE, "the key has a part '..', which storage does not know")
    try:
        handle = file.handle()
        try:
            found = handle.stat
            written, known = _whole_seconds(found.st_mtime_ns), _whole_seconds(mtime_ns)
            if written is None:
                known = None  # this storage keeps no time
            _check_unchanged(RemoteStat(found.st_size, written), size, known)
            offset, length = member or (0, found.st_size)
            _check_length(length)
            data = handle.read_at(offset, length)
        finally:
            handle.close()
    except FileNotFoundError:
        raise _error(ErrorCode.NOT_FOUND, "the file does not exist any more") from None
    except (StorageError, SnellenError) as error:
        raise _error(ErrorCode.IO, str(error)) from None
    if len(data) != length:
        raise _error(ErrorCode.CHANGED, f"{len(data)} bytes were read of {length}")
    return data


def _whole_seconds(time_ns: int | None) -> int | None:
    return None if time_ns is None else time_ns // 10**9


def _check_unchanged(
    found: os.stat_result | RemoteStat, size: int | None, mtime_ns: int | None
) -> None:
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
