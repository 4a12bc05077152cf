"""Pictures as files."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from snellen.pipelines.visualization.encode import encode_jpeg, encode_png
from tests.pipelines.tasks.test_render import grey


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_pictures_are_files(kind: Any) -> None:
    image = (np.arange(20 * 30).reshape(20, 30) % 256).astype(kind)
    again = np.asarray(Image.open(io.BytesIO(encode_png(image))))
    assert (again == image).all()
    assert Image.open(io.BytesIO(encode_png(grey()))).size == (500, 400)
    assert Image.open(io.BytesIO(encode_jpeg(grey()))).format == "JPEG"
