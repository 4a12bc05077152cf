"""Files that appear whole or not at all, and the errors of writing them."""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pyarrow as pa

from snellen.adapters.errors import RunError, SnellenError

TEMPORARY_PREFIX = ".tmp-"
"""Start of the name of a file that is being written."""

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_READ_ONLY = (errno.EROFS, errno.EACCES, errno.EPERM)


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Write a file under a temporary name in its folder, and rename it at the end of the block.

    File and folder are synced to the disk first, so the file outlives a crash of the machine. An
    existing file is replaced. An exception leaves nothing behind.

    Yields:
        The temporary path, with the suffix of ``path``; the block has to write it.

    Raises:
        OSError: the file cannot be synced or renamed.
    """
    temporary = path.with_name(f"{TEMPORARY_PREFIX}{secrets.token_hex(4)}-{path.name}")
    try:
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise
    _sync_folder(path.parent)


def write_atomically(path: Path, data: bytes | pa.Buffer) -> None:
    """Write a whole file; its folder is created if it is missing.

    Raises:
        RunError: DISK_FULL, OUTPUT_READONLY or OUTPUT_NOT_WRITABLE; nothing is left behind.
    """
    with output_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_file(path) as temporary, temporary.open("xb") as file:
            file.write(data)


@contextmanager
def output_errors(path: Path, kind: type[SnellenError] = RunError) -> Iterator[None]:
    """Raise an ``OSError`` of the block as `output_error`."""
    try:
        yield
    except OSError as error:
        raise output_error(error, path, kind) from error


def output_error(error: OSError, path: Path, kind: type[SnellenError] = RunError) -> SnellenError:
    """Return the error to show for a file that cannot be written.

    Args:
        error: from the operating system.
        path: the file.
        kind: class of the returned error.

    Returns:
        An error with the code DISK_FULL, OUTPUT_READONLY or OUTPUT_NOT_WRITABLE.
    """
    code = output_error_code(error)
    if code == "DISK_FULL":
        return kind(
            code,
            f"'{path}' cannot be written: the disk is full or over quota. Expected free space. "
            "Free some space, then resume the run or repeat the command.",
        )
    return kind(
        code,
        f"'{path}' cannot be written: {error.strerror or error}. Expected a writable folder. "
        "Choose another output folder, or change its permissions.",
    )


def output_error_code(error: OSError) -> str:
    """Return DISK_FULL, OUTPUT_READONLY or OUTPUT_NOT_WRITABLE for a failed write."""
    if error.errno in _FULL:
        return "DISK_FULL"
    return "OUTPUT_READONLY" if error.errno in _READ_ONLY else "OUTPUT_NOT_WRITABLE"


def sweep_temporaries(folder: Path) -> int:
    """Remove the temporary files of killed writers below ``folder``; return their number."""
    left = list(folder.rglob(f"{TEMPORARY_PREFIX}*"))
    for path in left:
        path.unlink(missing_ok=True)
    return len(left)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # some filesystems cannot
            raise
    finally:
        os.close(descriptor)
