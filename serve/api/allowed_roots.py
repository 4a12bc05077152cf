"""Keep paths that come over HTTP inside of the configured folders."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from snellen.adapters.checkpoints.layouts import CHECKPOINT_FOLDERS
from snellen.adapters.checkpoints.local_path import check_not_remote
from snellen.adapters.checkpoints.run_directory import RunDirectory
from snellen.serve.api.problems import Problem


def folder_inside(text: str, roots: Sequence[str]) -> Path:
    """The real folder that ``text`` names, absolute or relative to a root, links resolved.

    Raises:
        Problem: 403, where it is not inside of a root; whether it exists is not told then. 404,
            where it is and there is no such folder.
        InputError: REMOTE_REFUSED, an address.
    """
    check_not_remote(text, "output_dir")
    if "\0" in text:
        raise Problem(422, "VALIDATION", "The path holds a NUL character.")
    for root in roots:
        base = Path(root).expanduser().resolve()
        try:
            real = (base / text).resolve()
        except (OSError, RuntimeError):  # a loop of links
            continue
        if real == base or base in real.parents:
            return _existing(real)
    raise _forbidden(
        "The path is not inside of a configured root."
        if roots
        else "Registering over HTTP is off: the service has no roots configured."
    )


class Inside:
    """Whether paths are inside of a root, links resolved; whether they exist is all the same.

    Attributes:
        refused: one was not.
    """

    def __init__(self, roots: Sequence[str]) -> None:
        self._bases = [Path(root).expanduser().resolve() for root in roots]
        self.refused = False

    def __call__(self, path: Path) -> bool:
        """Whether this one is."""
        try:
            real = path.resolve()
        except (OSError, RuntimeError):
            real = Path("/")
        inside = any(base in (real, *real.parents) for base in self._bases)
        self.refused |= not inside
        return inside


def check_files_inside(folder: Path, roots: Sequence[str]) -> None:
    """Refuse a run directory whose files are links that lead out of the roots.

    Raises:
        Problem: 403.
    """
    inside = Inside(roots)
    for place in (folder, *(folder / name for name in CHECKPOINT_FOLDERS)):
        entries = place.iterdir() if place.is_dir() else ()
        if not all(inside(entry) for entry in entries if entry.is_symlink()):
            raise _forbidden("The directory has links that lead out of the configured roots.")


def check_names_inside(run: RunDirectory, inside: Inside) -> None:
    """Refuse a run directory whose class names would be read from outside of the roots: answers
    would tell them.

    Args:
        run: read with ``inside``.
        inside: what was asked while it was read.

    Raises:
        Problem: 403.
    """
    if inside.refused and run.class_names is None:
        raise _forbidden(
            "The run's arguments name class names outside of the configured roots. Send them as "
            "class_names, or put a file class_names.txt into the directory."
        )


def _forbidden(detail: str) -> Problem:
    return Problem(403, "PATH_FORBIDDEN", detail)


def _existing(folder: Path) -> Path:
    try:
        found = folder.is_dir()
    except OSError:  # a name that is too long
        found = False
    if not found:
        raise Problem(404, "RUN_DIRECTORY_NOT_FOUND", "There is no such directory.")
    return folder
