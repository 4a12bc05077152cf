"""Text in Pillow's built-in scalable font, which has little more than ASCII."""

from __future__ import annotations

import unicodedata
from functools import lru_cache

from PIL import ImageFont

Font = ImageFont.FreeTypeFont
_UNKNOWN = "?"
_MISSING = "\uffff"
"""A character without a glyph in any font; it is drawn as the glyph of missing characters."""


@lru_cache(maxsize=32)
def font_of(size: int) -> Font:
    """Return the font at a size in pixels."""
    font = ImageFont.load_default(size=size)
    if not isinstance(font, ImageFont.FreeTypeFont):
        raise RuntimeError(
            "Pillow has no FreeType. Expected a Pillow with FreeType, such as `pip install Pillow`."
        )
    return font


@lru_cache(maxsize=4096)
def _has_glyph(char: str) -> bool:
    font = font_of(20)
    drawn, missing = font.getmask(char), font.getmask(_MISSING)
    return drawn.size != missing.size or bytes(drawn) != bytes(missing)


def printable(text: str, otherwise: str) -> str:
    """Replace the characters that the font cannot draw.

    Accents are dropped where the font lacks them, other unknown characters become ``?``. A text
    without any known character, such as a name in another script, becomes ``otherwise``.
    """
    known = [_known(char) for char in unicodedata.normalize("NFC", text)]
    joined = "".join(known).strip()
    return joined if joined.strip("? ") else otherwise


def _known(char: str) -> str:
    if char.isspace() or unicodedata.category(char).startswith("C"):
        return " "
    if _has_glyph(char):
        return char
    plain = "".join(
        part for part in unicodedata.normalize("NFKD", char) if not unicodedata.combining(part)
    )
    return plain if plain and all(_has_glyph(part) for part in plain) else _UNKNOWN


def shortened(text: str, font: Font, width: float) -> str:
    """Shorten ``text`` with an ellipsis where it is wider than ``width`` pixels."""
    if font.getlength(text) <= width:
        return text
    low, high = 0, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        if font.getlength(text[:middle].rstrip() + "…") <= width:
            low = middle
        else:
            high = middle - 1
    return text[:low].rstrip() + "…" if low else ""
