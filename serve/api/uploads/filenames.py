"""Clean file names sent by clients, so that they can be displayed, stored and printed."""

from __future__ import annotations

import re
import unicodedata

_MAX_LENGTH = 200
_FALLBACK = "image"


def display_name(name: str) -> str:
    """Return the last part of a file name, without control characters.

    It is a label only: no file is ever opened by it.

    Args:
        name: as the client sent it; may be a path in any notation.

    Returns:
        1 to 200 characters; a long name keeps its extension.
    """
    last = re.split(r"[/\\]", name)[-1]
    kept = "".join(
        char for char in last if unicodedata.category(char) not in {"Cc", "Cf", "Cs", "Co", "Cn"}
    )
    kept = kept.strip()
    if len(kept) > _MAX_LENGTH:
        stem, point, ending = kept.rpartition(".")
        tail = point + ending if stem and len(ending) <= 10 else ""
        kept = kept[: _MAX_LENGTH - len(tail)] + tail
    return kept if kept not in {"", ".", ".."} else _FALLBACK
