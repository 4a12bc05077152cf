"""Make the name of an upload one that can be shown, stored and printed."""

from __future__ import annotations

import re
import unicodedata

_LONGEST = 200
_NAMELESS = "image"


def display_name(name: str) -> str:
    """The last part of a client's file name without control characters, at most 200 long.

    It is a label only: nothing is ever opened by it.
    """
    last = re.split(r"[/\\]", name)[-1]
    kept = "".join(
        char for char in last if unicodedata.category(char) not in {"Cc", "Cf", "Cs", "Co", "Cn"}
    )
    kept = kept.strip()
    if len(kept) > _LONGEST:
        stem, point, ending = kept.rpartition(".")
        tail = point + ending if stem and len(ending) <= 10 else ""
        kept = kept[: _LONGEST - len(tail)] + tail
    return kept if kept not in {"", ".", ".."} else _NAMELESS
