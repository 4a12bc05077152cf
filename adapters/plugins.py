"""Help for a mistyped name."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def nearest(name: str, choices: Iterable[str], count: int = 3) -> str:
    """Return "; did you mean a, b?" for the closest choices, or an empty string."""
    close = difflib.get_close_matches(name, list(choices), n=count, cutoff=0.5)
    return f"; did you mean {', '.join(close)}?" if close else ""
