"""Uploaded images of inference jobs, in a folder per upload below the folder of the runs."""

from __future__ import annotations

import shutil
import time
import uuid
from contextlib import suppress
from pathlib import Path

from snellen.pipelines.runs.run_folder import UPLOADS

_RECEIVED = ".received-"


def new_folders(root: Path) -> tuple[Path, Path]:
    """Return the folder in which an upload is received, and the one that it is renamed to.

    A folder that is still being received when the process is killed is removed by `sweep_received`.
    """
    token = uuid.uuid4().hex
    return root / UPLOADS / f"{_RECEIVED}{token}", root / UPLOADS / token


def sweep_received(root: Path, older_than_s: float) -> int:
    """Remove uploads that were never completed; return their number.

    Args:
        root: folder of the runs.
        older_than_s: age in seconds from which nothing is being received any more.
    """
    removed = 0
    for folder in (root / UPLOADS).glob(f"{_RECEIVED}*"):
        with suppress(OSError):
            if time.time() - folder.stat().st_mtime > older_than_s:
                shutil.rmtree(folder)
                removed += 1
    return removed
