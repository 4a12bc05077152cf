"""Temporary folders that do not outlive their process, even if it is killed.

The name of a folder holds the process that made it. A process deletes the folders of processes that
do not live any more before it makes its own: no process can clean up after a SIGKILL itself, and
the manifest of a large dataset takes gigabytes.
"""

from __future__ import annotations

import atexit
import hashlib
import os
import platform
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_HOST = hashlib.sha256(platform.node().encode()).hexdigest()[:6]
"""Containers and hosts that share a folder have processes of the same number."""
_NAME = re.compile(rf"snellen-[a-z]+-{_HOST}-(\d+)-\w+")


@contextmanager
def temporary_folder(purpose: str, parent: str | None = None) -> Iterator[Path]:
    """Create a folder that is deleted at the end of the context.

    Args:
        purpose: a part of its name, in lower-case letters.
        parent: the folder above it; None for that of the system.
    """
    folder = _made(purpose, parent)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def folder_of_process(purpose: str) -> Path:
    """Create a folder that is deleted when this process ends."""
    folder = _made(purpose, None)
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def _made(purpose: str, parent: str | None) -> Path:
    above = Path(parent or tempfile.gettempdir())
    _sweep(above)
    prefix = f"snellen-{purpose}-{_HOST}-{os.getpid()}-"
    return Path(tempfile.mkdtemp(prefix=prefix, dir=above))


def _sweep(above: Path) -> None:
    """Delete the folders of this user's processes of this host that have ended."""
    for folder in above.glob("snellen-*"):
        found = _NAME.fullmatch(folder.name)
        with suppress(OSError):
            if found and folder.lstat().st_uid == os.getuid() and not _lives(int(found[1])):
                shutil.rmtree(folder, ignore_errors=True)


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (OverflowError, OSError):
        return True
    return True
