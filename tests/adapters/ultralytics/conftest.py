"""Images of drawn shapes."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from examples.shapes.make_dataset import make
from tests.adapters.ultralytics.agreement import Pixels


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> list[Pixels]:
    """Scenes of every size the shapes have, and odd sizes: thin, tiny, enlarged, blank."""
    root = tmp_path_factory.mktemp("shapes")
    make(root, counts={"test": 10}, seed=3)
    scenes = [Image.open(p) for p in sorted((root / "detect" / "images" / "test").iterdir())]
    odd = [
        *(scenes[1].resize(size) for size in ((641, 479), (37, 300), (9, 9))),
        Image.new("RGB", (50, 70)),
    ]
    found = [np.asarray(image.convert("RGB")) for image in (*scenes, *odd)]
    assert len({image.shape for image in found}) >= 7
    return found
