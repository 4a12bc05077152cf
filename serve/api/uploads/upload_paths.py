"""Paths to which images are sent for a prediction at once; they are subject to admission."""

from __future__ import annotations

import re

SINGLE, SINGLE_PAGE = "/inference/single", "/ui/single"
"""Paths of single images: for programs, and for the page."""
_INFER = re.compile(r"/v2/models/[^/]+(/versions/[^/]+)?/infer")


def upload_route(path: str) -> str | None:
    """Return the route of a path, or None if it is not one of them.

    A request may be rejected before it is routed; its metrics have the route all the same.
    """
    if path in {SINGLE, SINGLE_PAGE}:
        return path
    found = _INFER.fullmatch(path)
    if found is None:
        return None
    return f"/v2/models/{{model}}{'/versions/{version}' if found[1] else ''}/infer"
