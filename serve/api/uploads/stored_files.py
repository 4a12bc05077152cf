"""Uploaded images of inference jobs, in a folder per upload below the folder of the runs."""

from __future__ import annotations

from pathlib import Path

from snellen.store.views import AnyRun

FOLDER = "uploads"
"""Folder of the uploads, below the folder of the runs."""


def uploads_of(run: AnyRun, root: Path) -> Path | None:
    """Return the folder of the images that were uploaded for a run; None for all other runs."""
    path = ((run.config or {}).get("dataset") or {}).get("path")
    base = root / FOLDER
    if not isinstance(path, str) or not Path(path).is_relative_to(base) or Path(path) == base:
        return None
    return base / Path(path).relative_to(base).parts[0]
