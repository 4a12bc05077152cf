"""Masks as an image of instance numbers."""

from __future__ import annotations

import numpy as np

from snellen.pipelines.visualization.masks import decode_mask, instance_image
from tests.pipelines.tasks.test_render import mask_of


def test_an_instance_image_gives_overlaps_to_the_more_confident_one() -> None:
    first = mask_of(40, 50, np.s_[10:20, 10:20])
    second = mask_of(40, 50, np.s_[15:30, 15:30])
    image = instance_image([first, second], 40, 50)
    assert image.dtype == np.uint8
    assert image.shape == (40, 50)
    assert (image[10:20, 10:20] == 1).all()
    assert image[25, 25] == 2
    assert set(np.unique(image)) == {0, 1, 2}
    many = instance_image([first] * 300, 40, 50)
    assert many.dtype == np.uint16
    assert many.max() == 1
    assert decode_mask(first.decode(), 40, 50).sum() == 100
