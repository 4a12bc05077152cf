"""Grad-CAM, where it is known in closed form, and the part of the image that it covers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from snellen.adapters.errors import ConfigError
from snellen.adapters.explanations import check_explains
from snellen.adapters.noop import NoopAdapter
from snellen.adapters.timm.adapter import TimmAdapter
from snellen.adapters.timm.gradcam import grad_cam
from snellen.adapters.timm.transforms import TimmPreprocessor
from snellen.adapters.types import AdapterSpec, DecodedImage
from tests.adapters.making import pixels, save_timm


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[TimmAdapter, Any]:
    path = tmp_path_factory.mktemp("timm") / "model.pth"
    model = save_timm(path)
    return TimmAdapter.from_spec(AdapterSpec("timm", str(path)), device="cpu"), model


def prepared(adapter: TimmAdapter, image: DecodedImage) -> torch.Tensor:
    array = torch.from_numpy(adapter.preprocess(image).array[None]).float() / 255
    config = adapter.info.preprocess
    mean, std = (torch.tensor(config[key]).view(1, -1, 1, 1) for key in ("mean", "std"))
    return (array - mean) / std


def test_a_linear_classifier_of_mean_maps_has_class_activation_maps(
    made: tuple[TimmAdapter, Any],
) -> None:
    """Then the gradient is the weight of the map: Zhou et al., Learning Deep Features (2016)."""
    adapter, model = made
    image = DecodedImage(pixels(200, 150))
    with torch.no_grad():
        maps = model.forward_features(prepared(adapter, image))[0]
        scores = model(prepared(adapter, image))[0]
    seen = 0
    for class_id in range(10):
        expected = torch.einsum("k,khw->hw", model.fc.weight[class_id], maps).clamp(min=0).detach()
        found = adapter.explain(image, class_id)
        assert found.class_id == class_id
        peak = expected.max() or 1.0  # nothing may speak for a class
        np.testing.assert_allclose(found.heat, (expected / peak).numpy(), atol=1e-5)
        seen += int((expected > 0).any())
    assert seen >= 3
    assert adapter.explain(image).class_id == int(scores.argmax())


class Channels(torch.nn.Module):
    """Two maps, the red and the blue of the image, whose class is its mean; or channels last."""

    num_features = 2

    def __init__(self, last: bool) -> None:
        super().__init__()
        self.last = last

    def forward_features(self, x: torch.Tensor) -> torch.Tensor:
        maps = x[:, [0, 2]]
        return maps.permute(0, 2, 3, 1) if self.last else maps

    def forward_head(self, maps: torch.Tensor) -> torch.Tensor:
        return maps.mean(dim=(1, 2) if self.last else (2, 3))


@pytest.mark.parametrize("last", [False, True])
def test_the_evidence_is_where_the_class_is(last: bool) -> None:
    image = torch.zeros(1, 3, 6, 8)
    image[0, 0, 1, 2] = 1.0
    image[0, 2, 4, 5] = 2.0
    for class_id, place in ((0, (1, 2)), (1, (4, 5))):
        chosen, heat = grad_cam(Channels(last), image, class_id, "channels")
        assert (chosen, heat.shape) == (class_id, (6, 8))
        assert heat[place] == 1.0
        assert heat.sum() == 1.0
    assert grad_cam(Channels(last), image, None, "channels")[0] == 1
    nothing = grad_cam(Channels(last), torch.zeros(1, 3, 6, 8), 0, "channels")[1]
    assert (nothing == 0).all()


@pytest.mark.parametrize("mode", ["center", "squash", "border"])
@pytest.mark.parametrize("size", [(200, 100), (100, 230), (64, 64)])
def test_the_region_is_what_the_transform_shows(mode: str, size: tuple[int, int]) -> None:
    """A ramp over the image tells where the corners of the input come from."""
    config = {
        "input_size": (3, 96, 96), "crop_pct": 0.8, "crop_mode": mode, "interpolation": "bilinear",
        "mean": [0.5] * 3, "std": [0.5] * 3,
    }  # fmt: skip
    width, height = size
    y, x = np.mgrid[0:height, 0:width]
    ramp = np.stack([255 * (x + 0.5) / width, 255 * (y + 0.5) / height, 0 * x], axis=2)
    image = DecodedImage(ramp.round().astype(np.uint8))
    preprocessor = TimmPreprocessor(config)
    x1, y1, x2, y2 = preprocessor.region(image)
    shown = preprocessor.preprocess(image).array.astype(float)
    step_x, step_y = (x2 - x1) / 96, (y2 - y1) / 96
    for column in (30, 48, 66):
        across = x1 + (column + 0.5) * step_x
        assert shown[0, 48, column] / 255 * width == pytest.approx(across, abs=0.03 * width)
        down = y1 + (column + 0.5) * step_y
        assert shown[1, column, 48] / 255 * height == pytest.approx(down, abs=0.03 * height)
    if mode == "center":
        assert min(x2 - x1, y2 - y1) == pytest.approx(0.8 * min(size), rel=0.02)


def test_a_model_without_maps_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "vit.pth"
    save_timm(path, "test_vit")
    adapter = TimmAdapter.from_spec(AdapterSpec("timm", str(path)), device="cpu")
    with pytest.raises(ConfigError, match="test_vit has no feature maps") as caught:
        adapter.explain(DecodedImage(pixels(200, 150)))
    assert caught.value.code == "EXPLAIN_UNSUPPORTED"


def test_another_adapter_does_not_explain() -> None:
    check_explains(TimmAdapter, "timm")
    with pytest.raises(ConfigError, match="adapter noop cannot be explained"):
        check_explains(NoopAdapter, "noop")
