"""Contact sheets: many pictures on one page, each with a line of text."""

from __future__ import annotations

import math
from collections.abc import Sequence

from PIL import Image, ImageDraw

from snellen.pipelines.visualization.canvas import Pixels
from snellen.pipelines.visualization.palette import Colour
from snellen.pipelines.visualization.text import font_of, printable, shortened

TILE = 320
"""Longest side of a picture on a sheet, pixels."""
_GAP, _CAPTION, _FONT = 12, 22, 13
_PAPER: Colour = (255, 255, 255)
_FRAME: Colour = (236, 238, 241)
_INK: Colour = (20, 23, 27)


def contact_sheet(tiles: Sequence[tuple[Pixels, str]], columns: int = 4) -> Pixels:
    """Lay pictures out in rows, each centred above its text.

    Args:
        tiles: pictures of at most `TILE` pixels on each side, and their texts; at least one.
        columns: maximum number of pictures in a row.

    Returns:
        uint8, shape (h, w, 3).

    Example:
        >>> import numpy as np
        >>> contact_sheet([(np.zeros((240, 320, 3), np.uint8), "a.png")] * 5).shape
        (720, 1340, 3)
    """
    import numpy as np

    columns = min(columns, len(tiles))
    rows = math.ceil(len(tiles) / columns)
    width = columns * (TILE + _GAP) + _GAP
    sheet = Image.new("RGB", (width, rows * (TILE + _CAPTION + _GAP) + _GAP), _PAPER)
    pen, font = ImageDraw.Draw(sheet), font_of(_FONT)
    for number, (pixels, caption) in enumerate(tiles):
        left = _GAP + number % columns * (TILE + _GAP)
        top = _GAP + number // columns * (TILE + _CAPTION + _GAP)
        pen.rectangle((left, top, left + TILE - 1, top + TILE - 1), fill=_FRAME)
        picture = Image.fromarray(pixels)
        picture.thumbnail((TILE, TILE))
        place = (left + (TILE - picture.width) // 2, top + (TILE - picture.height) // 2)
        sheet.paste(picture, place)
        text = shortened(printable(caption, f"#{number + 1}"), font, TILE)
        pen.text((left, top + TILE + 4), text, font=font, fill=_INK)
    return np.asarray(sheet)
