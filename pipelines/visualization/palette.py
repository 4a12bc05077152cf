"""A colour for each class, the same in every picture, and a text colour that is legible on it."""

from __future__ import annotations

import colorsys

Colour = tuple[int, int, int]
"""Red, green, blue, 0 to 255."""

_FIRST: tuple[Colour, ...] = (
    (255, 64, 80),
    (32, 148, 255),
    (255, 170, 20),
    (30, 190, 120),
    (170, 90, 255),
    (255, 105, 190),
    (0, 190, 205),
    (150, 200, 30),
    (255, 120, 60),
    (90, 110, 240),
    (210, 160, 110),
    (0, 150, 130),
)
_GOLDEN = 0.618033988749895
"""Steps of the golden ratio keep any number of hues apart."""
_SHADES = ((0.75, 0.95), (0.55, 0.75), (0.9, 0.8))
WHITE: Colour = (255, 255, 255)
INK: Colour = (20, 22, 26)


def class_colour(class_id: int) -> Colour:
    """Return the colour of a class: chosen ones first, then hues by the golden ratio."""
    if 0 <= class_id < len(_FIRST):
        return _FIRST[class_id]
    saturation, value = _SHADES[class_id % len(_SHADES)]
    red, green, blue = colorsys.hsv_to_rgb(class_id * _GOLDEN % 1.0, saturation, value)
    return round(red * 255), round(green * 255), round(blue * 255)


def text_colour(ground: Colour) -> Colour:
    """Return white or almost black, which has more contrast on ``ground`` (WCAG 2 luminance)."""
    light = luminance(ground) + 0.05
    on_white, on_ink = 1.05 / light, light / (luminance(INK) + 0.05)
    # White is slightly preferred: on saturated colours it looks better than its contrast.
    return WHITE if on_white * 1.6 >= on_ink else INK


def luminance(colour: Colour) -> float:
    """Compute the relative luminance, 0 to 1: https://www.w3.org/TR/WCAG21/#dfn-relative-luminance"""
    linear = [
        share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4
        for share in (channel / 255 for channel in colour)
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
