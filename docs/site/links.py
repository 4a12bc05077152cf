"""Links of pages: files of the repository that the site does not hold become part of it."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = {
    "README.md": "overview.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "SECURITY.md": "security.md",
    "CODE_OF_CONDUCT.md": "code-of-conduct.md",
}
"""Pages at the top of the repository, and where the site has them."""
FILES = "files"
"""Folder of the site with the other files that pages link to."""
_LINK = re.compile(r"""(\]\(|(?:src|srcset|href)=")(?![a-z]+:|#|/)([^)#"\s]+)([^)"]*)""")
_FENCE = re.compile(r"^(```.*?^```)", re.MULTILINE | re.DOTALL)


def origin(uri: str) -> str:
    """Return the path in the repository of a page of the site."""
    for path, page in PAGES.items():
        if page == uri:
            return path
    return f"docs/{uri}"


def target(path: str) -> str:
    """Return the place in the site of a file of the repository.

    Args:
        path: the path relative to the root of the repository.

    Raises:
        FileNotFoundError: there is no such file.
    """
    if path.startswith("docs/"):
        return path.removeprefix("docs/")
    if path in PAGES:
        return PAGES[path]
    if not (ROOT / path).is_file():
        raise FileNotFoundError(f"a page links to {path}, which is not a file")
    return f"{FILES}/{path}"


def rewrite(markdown: str, uri: str) -> str:
    """Return the text of a page with links that lead to the places in the site.

    Args:
        markdown: the text of the page, with links relative to its place in the repository.
        uri: the page, relative to the root of the site.
    """

    def place(path: str) -> str:
        return posixpath.relpath(target(path), posixpath.dirname(uri) or ".")

    return _replace(markdown, uri, place)


def linked_files(markdown: str, uri: str) -> set[str]:
    """Return the files outside of the documentation that a page links to."""
    found: set[str] = set()

    def note(path: str) -> str:
        found.add(path)
        return path

    _replace(markdown, uri, note)
    return {path for path in found if target(path).startswith(f"{FILES}/")}


def _replace(markdown: str, uri: str, place: Callable[[str], str]) -> str:
    folder = posixpath.dirname(origin(uri))

    def replaced(match: re.Match[str]) -> str:
        path = posixpath.normpath(posixpath.join(folder, match[2]))
        return f"{match[1]}{place(path)}{match[3]}"

    parts = _FENCE.split(markdown)  # links in code stay as they are
    return "".join(part if part.startswith("```") else _LINK.sub(replaced, part) for part in parts)
