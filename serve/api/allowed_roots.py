"""Keep paths that come over HTTP inside the configured root folders."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from snellen.adapters.checkpoints.layouts import CHECKPOINT_FOLDERS
from snellen.adapters.checkpoints.local_path import check_not_remote
from snellen.adapters.checkpoints.run_directory import RunDirectory
from snellen.serve.api.problems import Problem

_OUTSIDE = "The path is outside the configured roots (roots)."


def resolve_inside(text: str, roots: Sequence[str]) -> Path:
    """Resolve a folder inside one of the roots, links included.

    Args:
        text: absolute path, or relative to a root.
        roots: folders below which paths are allowed.

    Raises:
        Problem: 403, the path is outside the roots, whether it exists or not; 404, it is inside
            and does not exist.
        InputError: REMOTE_REFUSED, the path is an address.
    """
    check_not_remote(text, "output_dir")
    found = _inside(text, roots)
    if found is None:
        raise _forbidden(
            _OUTSIDE
            if roots
            else "Registering over HTTP is disabled: the service has no roots configured (roots)."
        )
    return _existing(found)


def resolve_dataset_path(text: str, roots: Sequence[str]) -> Path:
    """Resolve a file or folder of a dataset inside one of the roots, links included.

    Args:
        text: absolute path, or relative to a root; the first root that has it counts.
        roots: folders below which paths are allowed.

    Raises:
        Problem: 403, the path is outside the roots, whether it exists or not; 404, it is inside
            and does not exist.
        InputError: REMOTE_REFUSED, the path is an address.
    """
    check_not_remote(text, "dataset_path")
    inside = [found for root in roots if (found := _inside(text, (root,))) is not None]
    if not inside:
        raise _forbidden(
            _OUTSIDE
            if roots
            else "Paths over HTTP are disabled: the service has no roots configured (roots). "
            "Expected the name of a registered dataset."
        )
    for found in inside:
        try:
            if found.exists():
                return found
        except OSError:  # the name is too long
            continue
    raise Problem(404, "DATASET_NOT_FOUND", "There is no such file or folder inside the roots.")


def below_roots(path: str, roots: Sequence[str]) -> str | None:
    """Return a path relative to the root that contains it, or None outside of the roots."""
    for root in roots:
        for base in (Path(root).expanduser().absolute(), Path(root).expanduser().resolve()):
            if Path(path).is_relative_to(base):
                return Path(path).relative_to(base).as_posix()
    return None


def _inside(text: str, roots: Sequence[str]) -> Path | None:
    if "\0" in text:
        raise Problem(422, "VALIDATION", "The path contains a NUL character.")
    for root in roots:
        base = Path(root).expanduser().resolve()
        try:
            real = (base / text).resolve()
        except (OSError, RuntimeError):  # a cycle of links
            continue
        if real == base or base in real.parents:
            return real
    return None


class InsideRoots:
    """Predicate: is a path inside one of the roots? Links are resolved; paths need not exist.

    Attributes:
        rejected: True once a path was outside.
    """

    def __init__(self, roots: Sequence[str]) -> None:
        self._bases = [Path(root).expanduser().resolve() for root in roots]
        self.rejected = False

    def __call__(self, path: Path) -> bool:
        """Return True if ``path`` is inside."""
        try:
            real = path.resolve()
        except (OSError, RuntimeError):
            real = Path("/")
        inside = any(base in (real, *real.parents) for base in self._bases)
        self.rejected |= not inside
        return inside


def check_links(folder: Path, roots: Sequence[str]) -> None:
    """Reject a run directory with links that lead out of the roots.

    Raises:
        Problem: 403.
    """
    inside = InsideRoots(roots)
    for place in (folder, *(folder / name for name in CHECKPOINT_FOLDERS)):
        entries = place.iterdir() if place.is_dir() else ()
        if not all(inside(entry) for entry in entries if entry.is_symlink()):
            raise _forbidden(
                "The directory contains links that lead out of the configured roots (roots)."
            )


def check_class_names(run: RunDirectory, inside: InsideRoots) -> None:
    """Reject a run directory whose class names lie outside the roots: responses contain them.

    Args:
        run: a run directory that was read with ``inside``.
        inside: the predicate that was used to read it.

    Raises:
        Problem: 403.
    """
    if inside.rejected and run.class_names is None:
        raise _forbidden(
            "The arguments of the run refer to class names outside the configured roots (roots). "
            "Send them as class_names, or add a file class_names.txt to the directory."
        )


def _forbidden(detail: str) -> Problem:
    return Problem(403, "PATH_FORBIDDEN", detail)


def _existing(folder: Path) -> Path:
    try:
        found = folder.is_dir()
    except OSError:  # the name is too long
        found = False
    if not found:
        raise Problem(404, "RUN_DIRECTORY_NOT_FOUND", "There is no such directory.")
    return folder
