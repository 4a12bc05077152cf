"""Colours of classes and of the texts on them."""

from __future__ import annotations

from snellen.pipelines.visualization.palette import INK, WHITE, class_colour, luminance, text_colour


def test_colours_are_apart_and_texts_legible() -> None:
    colours = [class_colour(number) for number in range(200)]
    assert len(set(colours)) > 190
    for colour in colours:
        low, high = sorted((luminance(colour), luminance(text_colour(colour))))
        assert (high + 0.05) / (low + 0.05) > 2.3
    assert text_colour(WHITE) == INK
    assert text_colour(INK) == WHITE
