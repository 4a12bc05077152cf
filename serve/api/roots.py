"""Keep paths that come over HTTP inside of the configured folders."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from adapters.checkpoints.local import check_not_remote
from serve.api.problems import Problem


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
    raise Problem(
        403,
        "PATH_FORBIDDEN",
        "The path is not inside of a configured root."
        if roots
        else "Registering over HTTP is off: the service has no roots configured.",
    )


def _existing(folder: Path) -> Path:
    try:
        found = folder.is_dir()
    except OSError:  # a name that is too long
        found = False
    if not found:
        raise Problem(404, "RUN_DIRECTORY_NOT_FOUND", "There is no such directory.")
    return folder
