"""The brightness of an image against its definition, and in the rows of a run."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from snellen.pipelines.execution.worker.brightness import mean_luma
from tests.pipelines.place import Place


@pytest.mark.parametrize("size", [(1, 1), (5, 6), (64, 64), (65, 200), (700, 333)])
def test_it_is_the_luma_of_pillow(size: tuple[int, int]) -> None:
    random = np.random.default_rng(0)
    ramp = np.linspace(0, 255, size[1])[None, :, None]
    pixels = np.clip(ramp + random.normal(0, 20, (*size, 3)), 0, 255).astype(np.uint8)
    expected = np.asarray(Image.fromarray(pixels).convert("L")).mean() / 255
    assert mean_luma(pixels) == pytest.approx(expected, abs=0.02)


def test_black_is_0_and_white_is_1() -> None:
    assert mean_luma(np.zeros((9, 7, 3), np.uint8)) == 0.0
    assert mean_luma(np.full((9, 7, 3), 255, np.uint8)) == 1.0
    red = np.zeros((4, 4, 3), np.uint8)
    red[..., 0] = 255
    assert mean_luma(red) == 0.299


def test_rows_of_decoded_images_have_it(place: Place) -> None:
    (place.data / "0" / "broken.png").write_bytes(b"no image")
    rows = place.rows(place.run())
    for row in rows:
        if row["status"] == "failed":
            assert row["extra_data"] is None
            continue
        grey = np.asarray(Image.open(row["image_path"]).convert("L")).mean() / 255
        assert json.loads(row["extra_data"])["brightness"] == pytest.approx(grey, abs=0.01)
    assert {row["status"] for row in rows} == {"ok", "failed"}
