"""Static files of the pages, below a path with the hash of all of them, so they never go stale."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

FOLDER = Path(__file__).parent / "static"
PREFIX = "/ui/static"
_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


@cache
def files() -> dict[str, Path]:
    """Return the files that are served, by their path below the folder."""
    found = sorted(path for path in FOLDER.rglob("*") if path.suffix in _TYPES)
    return {path.relative_to(FOLDER).as_posix(): path for path in found}


@cache
def version() -> str:
    """Return the first twelve digits of the hash of all files."""
    digest = hashlib.sha256()
    for name, path in files().items():
        digest.update(name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:12]


def address(name: str) -> str:
    """Return the path of a file on the server.

    Raises:
        KeyError: there is no such file; an error of a template.
    """
    files()[name]
    return f"{PREFIX}/{version()}/{name}"


def media_type(path: Path) -> str:
    """Return the media type of a static file."""
    return _TYPES[path.suffix]
