"""Heat maps over images."""

from __future__ import annotations

import numpy as np
import pytest

from snellen.pipelines.visualization.canvas import canvas_of
from snellen.pipelines.visualization.heat import draw_heat

GREY = np.full((400, 600, 3), 128, np.uint8)


def drawn(heat: np.ndarray, region: tuple[float, float, float, float]) -> np.ndarray:
    canvas = canvas_of(GREY)
    draw_heat(canvas, heat.astype(np.float32), region)
    return canvas.pixels()


def test_only_the_region_is_covered() -> None:
    picture = drawn(np.ones((7, 7)), (100, 0, 500, 400))
    changed = (picture != 128).any(axis=2)
    assert changed[:, 104:496].all()
    assert not changed[:, :95].any()
    assert not changed[:, 505:].any()


def test_cold_places_show_the_image() -> None:
    heat = np.zeros((8, 12))
    heat[2, 9] = 1.0
    picture = drawn(heat, (0, 0, 600, 400)).astype(int)
    difference = np.abs(picture - 128).sum(axis=2)
    top, left = np.unravel_index(difference.argmax(), difference.shape)
    assert (top // 50, left // 50) == (2, 9)
    assert not difference[250:].any()
    assert not difference[:, :350].any()


def test_a_region_beyond_the_image_is_cut() -> None:
    heat = np.zeros((10, 10))
    heat[:, 5:] = 1.0
    picture = drawn(heat, (0, -100, 600, 500))
    assert picture.shape == GREY.shape
    assert (picture[:, :240] == 128).all()
    assert (picture[:, 360:] != 128).any(axis=2).all()


@pytest.mark.parametrize("region", [(700, 0, 900, 400), (-50, -50, -1, -1)])
def test_a_region_outside_of_the_image_changes_nothing(
    region: tuple[float, float, float, float],
) -> None:
    assert (drawn(np.ones((4, 4)), region) == GREY).all()
