"""Operators of torchvision, with and without its Python package."""

from __future__ import annotations

import io
import sys
import warnings

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.io import ImageReadMode, decode_jpeg
from torchvision.ops import nms

from snellen.adapters.runtime import torchvision_operators
from snellen.adapters.runtime.torchvision_operators import jpeg_decoding, suppression


@pytest.fixture(params=["libraries", "package", "other-file-names"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Load them as in a fresh process, as beside an import, or as from an unknown version."""
    if request.param == "libraries":
        monkeypatch.delitem(sys.modules, "torchvision")
    if request.param == "other-file-names":
        monkeypatch.setattr(torchvision_operators, "_library_files", lambda _: [])
    for function in (suppression, jpeg_decoding):
        function.cache_clear()


@pytest.mark.usefixtures("way")
def test_suppression_is_torchvisions() -> None:
    generator = torch.Generator().manual_seed(0)
    boxes = torch.rand(200, 4, generator=generator) * 50
    boxes[:, 2:] += boxes[:, :2]
    scores = (torch.rand(200, generator=generator) * 9).round()
    kept = suppression()(boxes, scores, 0.4)
    assert torch.equal(kept, nms(boxes, scores, 0.4))
    assert 1 < len(kept) < 200


@pytest.mark.usefixtures("way")
def test_jpegs_are_decoded_as_by_torchvision() -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (24, 40, 3), dtype=np.uint8)
    file = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6  # stored sideways
    Image.fromarray(pixels).save(file, "JPEG", exif=exif)
    data = torch.frombuffer(bytearray(file.getvalue()), dtype=torch.uint8)
    decoded = jpeg_decoding()(data, 3, True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # newer versions of it warn
        expected = decode_jpeg(data, mode=ImageReadMode.RGB, apply_exif_orientation=True)
    assert decoded.shape == (3, 40, 24)
    assert torch.equal(decoded, expected)


def test_no_torchvision_is_an_import_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torchvision", None)
    monkeypatch.setattr(torch, "ops", type("Ops", (), {"torchvision": object()}))
    suppression.cache_clear()
    with pytest.raises(ImportError):
        suppression()
    suppression.cache_clear()
