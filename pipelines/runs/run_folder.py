"""The folder of a run: each has its own, so any number of runs can share one output."""

from __future__ import annotations

import re
import uuid
from pathlib import Path

from snellen.adapters.errors import InputError
from snellen.store.results_path import opened
from snellen.store.sql.database import Database
from snellen.store.views import AnyRun, InferenceJobView

DEFAULT_ROOT = Path("runs")
UPLOADS = "uploads"
"""Folder of images that were uploaded for inference jobs, below ``output.dir``."""
REQUESTS = "requests"
"""Folder of the annotated images of recorded requests, below ``output.dir``."""
PICTURE_NAME = re.compile(r"[0-9a-f]{32}\.jpg")
"""Names of the annotated images of recorded requests."""


def output_root(configured: str) -> Path:
    """Return the absolute folder that ``output.dir`` means, created where it is missing.

    Raises:
        InputError: OUTPUT_NOT_WRITABLE.
    """
    root = (DEFAULT_ROOT if configured == "auto" else Path(configured).expanduser()).absolute()
    try:
        root.mkdir(parents=True, exist_ok=True)
        # Unique among all hosts and threads that share the folder.
        probe = root / f".snellen-write-{uuid.uuid4().hex}"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise InputError(
            "OUTPUT_NOT_WRITABLE",
            f"output.dir: '{root}' cannot be written to: {error.strerror or error}.",
        ) from None
    return root


def uploads_of(run: AnyRun) -> Path | None:
    """Return the folder of the images that were uploaded for a run; None for all other runs.

    A run that was given the path of somebody's uploads does not own them. Uploads that were moved
    or copied with the results are those beside the results.
    """
    config = run.config or {}
    path, root = (config.get(one) or {} for one in ("dataset", "output"))
    manifest, base = path.get("path"), Path(str(root.get("dir"))) / UPLOADS
    of_uploads = isinstance(run, InferenceJobView) and run.inference_type == "batch"
    if not of_uploads or not isinstance(manifest, str):
        return None
    folder = Path(manifest).parent
    if folder.parent != base or not base.is_absolute():
        return None
    return (
        folder if run.results_dir is None else Path(run.results_dir).parent / UPLOADS / folder.name
    )


def recorded_picture(db: Database, run: AnyRun, relative: str | None) -> Path | None:
    """Return the file of the annotated image of a recorded request, if it is one of its folder.

    Args:
        db: the run tables, which `snellen.store.results_path` paths are relative to.
        run: the inference job of the request.
        relative: its path, relative to ``output.dir``; None without an image.
    """
    output = opened(db, (run.config or {}).get("output") or {}, "dir")
    folder, _, name = (relative or "").rpartition("/")
    if "dir" not in output or folder != REQUESTS or not PICTURE_NAME.fullmatch(name):
        return None
    parent = Path(output["dir"]) / REQUESTS
    return None if parent.is_symlink() else parent / name


def make_run_folder(root: Path, run_id: int, name: str) -> Path:
    """Create the folder of a run, ``<id>-<name>``.

    A run of another database may have taken the name; then a number is appended.

    Raises:
        InputError: OUTPUT_TAKEN.
    """
    slug = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.")[:60] or "run"
    for suffix in ("", *(f"-{n}" for n in range(2, 1000))):
        folder = root / f"{run_id}-{slug}{suffix}"
        try:
            folder.mkdir()
        except FileExistsError:
            continue
        (folder / "units").mkdir()
        return folder
    raise InputError("OUTPUT_TAKEN", f"output.dir: '{root}' has no free folder for run {run_id}.")
