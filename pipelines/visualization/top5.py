"""A band below a picture: the five most confident classes, or the error of the image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from PIL import Image, ImageDraw

from snellen.pipelines.visualization.canvas import Canvas
from snellen.pipelines.visualization.palette import WHITE, Colour, class_colour
from snellen.pipelines.visualization.text import Font, printable, shortened

_GROUND: Colour = (28, 30, 34)
_TRACK: Colour = (58, 62, 70)
_QUIET: Colour = (190, 194, 202)
_ALARM: Colour = (214, 48, 58)
_RIGHT: Colour = (0, 121, 95)
_WRONG: Colour = (176, 68, 0)
_LEAST_WIDTH = 280


def _with_band(canvas: Canvas, height: int, colour: Colour) -> ImageDraw.ImageDraw:
    """Add a band below the image; a narrow image is centred above it."""
    before = canvas.image
    width = max(before.width, _LEAST_WIDTH)
    wider = Image.new("RGB", (width, before.height + height), _GROUND)
    wider.paste(before, ((width - before.width) // 2, 0))
    canvas.image = wider
    pen = canvas.draw
    pen.rectangle((0, before.height, width, before.height + height), fill=colour)
    return pen


def draw_truth(canvas: Canvas, label: str, *, correct: bool) -> None:
    """Add a row with the ground truth, and whether the prediction is correct."""
    ascent, descent = canvas.font.getmetrics()
    pad = max(4, canvas.line * 2)
    top = canvas.image.height
    pen = _with_band(canvas, ascent + descent + 2 * pad, _RIGHT if correct else _WRONG)
    verdict = "correct" if correct else "wrong"
    text = f"{verdict}, ground truth: {printable(label, '?')}"
    text = shortened(text, canvas.font, canvas.image.width - 2 * pad)
    middle = top + pad + (ascent + descent) / 2
    pen.text((pad, middle), text, font=canvas.font, fill=WHITE, anchor="lm")


def draw_bars(canvas: Canvas, classes: Sequence[Mapping[str, Any]]) -> None:
    """Add one row per class: its name, a bar, its probability.

    Args:
        classes: ``label_id, label, confidence`` by falling confidence.
    """
    ascent, descent = canvas.font.getmetrics()
    row = ascent + descent + max(4, canvas.line * 2)
    pad = row // 3
    top = canvas.image.height + pad
    pen = _with_band(canvas, row * len(classes) + 2 * pad, _GROUND)
    names, left, right = _columns(canvas, classes, pad)
    half = row * 0.3
    for number, (one, name) in enumerate(zip(classes, names, strict=True)):
        middle = top + row * (number + 0.5)
        strong = WHITE if number == 0 else _QUIET
        pen.text((pad, middle), name, font=canvas.font, fill=strong, anchor="lm")
        share = min(1.0, max(0.0, float(one["confidence"])))
        track = (left, middle - half, right, middle + half)
        _bar(pen, track, half * 0.6, share, class_colour(int(one["label_id"])))
        pen.text(
            (canvas.image.width - pad, middle),
            f"{share:.1%}",
            font=canvas.font,
            fill=strong,
            anchor="rm",
        )


def _columns(
    canvas: Canvas, classes: Sequence[Mapping[str, Any]], pad: int
) -> tuple[list[str], float, float]:
    """Shorten the names to fit and return them with the left and right ends of the bars."""
    font: Font = canvas.font
    names = [printable(str(one["label"]), f"#{one['label_id']}") for one in classes]
    width = canvas.image.width
    names = [shortened(name, font, width * 0.42) for name in names]
    left = 2 * pad + max((font.getlength(name) for name in names), default=0.0)
    return names, left, width - 2 * pad - font.getlength("100.0%")


def _bar(
    pen: ImageDraw.ImageDraw,
    track: tuple[float, float, float, float],
    radius: float,
    share: float,
    colour: Colour,
) -> None:
    left, top, right, bottom = track
    if right - left < 2:
        return
    pen.rounded_rectangle(track, radius, fill=_TRACK)
    filled = left + (right - left) * share
    if filled - left >= 1:
        pen.rounded_rectangle((left, top, filled, bottom), radius, fill=colour)


def draw_failure(canvas: Canvas, code: str, message: str) -> None:
    """Darken the picture and print below it the error of the image."""
    canvas.image = Image.blend(
        canvas.image, Image.new("RGB", canvas.image.size, _GROUND), alpha=0.45
    )
    ascent, descent = canvas.font.getmetrics()
    pad = max(4, canvas.line * 2)
    top = canvas.image.height
    pen = _with_band(canvas, ascent + descent + 2 * pad, _ALARM)
    text = printable(f"{code}: {message}" if message else code, code)
    text = shortened(text, canvas.font, canvas.image.width - 2 * pad)
    middle = top + pad + (ascent + descent) / 2
    pen.text((pad, middle), text, font=canvas.font, fill=WHITE, anchor="lm")
