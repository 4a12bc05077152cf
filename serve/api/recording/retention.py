"""Retention of the annotated images of recorded requests: delete old ones, and those above a size.

Only files that `Recorder` can have made are deleted: regular files with its names in its folder.
The rows of the requests stay, without the reference to the image.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

from snellen.adapters.errors import SnellenError
from snellen.pipelines.runs.run_folder import PICTURE_NAME, REQUESTS
from snellen.serve.api.problems import log
from snellen.serve.config import RetentionConfig
from snellen.store.image_rows import forget_pictures
from snellen.store.sql.database import Database

_MIN_AGE_S = 60.0
"""Age below which an image is kept: its row may not have been inserted yet, in seconds."""
_DAY_S = 86_400.0


@dataclass(frozen=True, slots=True)
class _File:
    modified: float
    size: int
    path: Path


@dataclass(frozen=True, slots=True)
class Swept:
    """Number and bytes of deleted images: too old, and above the size."""

    expired: int = 0
    excess: int = 0
    bytes: int = 0

    def __str__(self) -> str:
        return (
            f"{self.expired + self.excess} images of recorded requests deleted ({self.bytes} "
            f"bytes): {self.expired} by retention.days, {self.excess} by retention.bytes"
        )


def sweep(db: Database, root: Path, settings: RetentionConfig) -> Swept:
    """Delete the images that are not to be kept, and the references to them.

    Args:
        db: the run tables.
        root: folder of the runs.
        settings: maximum age and size.

    Raises:
        SnellenError: the run tables cannot be written; images whose references are left stay.
    """
    files = sorted(_files(root / REQUESTS), key=lambda file: (file.modified, file.path))
    now = time.time()
    total = sum(file.size for file in files)
    chosen: list[_File] = []
    expired = 0
    for file in files:
        age = now - file.modified
        too_old = settings.days is not None and age > settings.days * _DAY_S
        too_much = settings.bytes is not None and total > settings.bytes
        if age < _MIN_AGE_S or not (too_old or too_much):
            continue
        expired += too_old
        total -= file.size
        chosen.append(file)
    # References first: an image without one is found again by the next sweep.
    forget_pictures(db, [f"{REQUESTS}/{file.path.name}" for file in chosen])
    for file in chosen:
        file.path.unlink(missing_ok=True)
    return Swept(expired, len(chosen) - expired, sum(file.size for file in chosen))


def sweep_and_log(db: Database, root: Path, settings: RetentionConfig) -> None:
    """Sweep, unless everything is kept, and log what was deleted."""
    if settings.days is None and settings.bytes is None:
        return
    try:
        swept = sweep(db, root, settings)
        if swept.expired or swept.excess:
            log.info("%s", swept)
    except (SnellenError, OSError) as error:
        log.warning("images of recorded requests were not deleted: %s", error)


def _files(folder: Path) -> list[_File]:
    if folder.is_symlink() or not folder.is_dir():
        return []
    found = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if PICTURE_NAME.fullmatch(entry.name) and entry.is_file(follow_symlinks=False):
                stat = entry.stat(follow_symlinks=False)
                found.append(_File(stat.st_mtime, stat.st_size, folder / entry.name))
    return found
