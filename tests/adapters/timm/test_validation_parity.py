"""The numbers of timm's ``validate.py`` for bare weights, of its trainer for a run directory.

``validate.py`` is not in timm's package. `validated` repeats its steps with timm's own functions.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from PIL import Image
from torch import nn

from snellen.adapters.timm.transforms import DataSources, resolve_config
from tests.adapters.making import pixels
from tests.adapters.timm.making import adapter_of

pytestmark = pytest.mark.slow
CLASSES = 12
IMAGES = 18
ARCHITECTURES = (
    "edgenext_xx_small", "mobilenetv4_conv_small_050", "resnet10t", "fasternet_t0",
    "convnext_atto", "cs3darknet_focus_s", "mobilenetv1_100", "hgnetv2_b0",
    "tf_efficientnetv2_b0", "mambaout_femto", "resnet50",
)  # fmt: skip
"""Their configs for tests differ from those of their training, in the size, the crop or both."""


@dataclass(frozen=True)
class Scores:
    """Scores of a model on the images, in the order of their paths."""

    config: dict[str, Any]
    top5: list[list[int]]
    confidences: list[float]
    accuracy: tuple[float, float]


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures of several shapes in class folders."""
    root = tmp_path_factory.mktemp("validation")
    for number in range(IMAGES):
        folder = root / f"{number % CLASSES:02}"
        folder.mkdir(exist_ok=True)
        shape = (70 + 17 * (number % 5), 60 + 23 * (number % 4))
        Image.fromarray(pixels(*shape, seed=number)).save(folder / f"{number:02}.png")
    return root


def loader_of(images: Path, config: dict[str, Any]) -> Any:
    from timm.data import create_dataset, create_loader

    return create_loader(
        create_dataset("", str(images)), config["input_size"], 6, use_prefetcher=False,
        interpolation=config["interpolation"], mean=config["mean"], std=config["std"],
        crop_pct=config["crop_pct"], crop_mode=config["crop_mode"], num_workers=0,
        device=torch.device("cpu"), persistent_workers=False,
    )  # fmt: skip


def validated(
    model: nn.Module, images: Path, args: dict[str, Any] | None = None, *, use_test_size: bool
) -> Scores:
    """Evaluate as ``validate.py``, or as the trainer without ``use_test_size``."""
    from timm.data import resolve_data_config
    from timm.utils import accuracy

    config = resolve_data_config(args or {}, model=model, use_test_size=use_test_size)
    outputs, targets = [], []
    with torch.inference_mode():
        for batch, target in loader_of(images, config):
            outputs.append(model(batch))
            targets.append(target)
    logits = torch.cat(outputs)
    top1, top5 = accuracy(logits, torch.cat(targets), topk=(1, 5))
    return Scores(
        config,
        logits.topk(5).indices.tolist(),
        logits.softmax(1).max(1).values.tolist(),
        (float(top1), float(top5)),
    )


def made(architecture: str, images: Path, seed: int = 3, **kwargs: Any) -> Any:
    """Create a model with random weights whose predictions differ from image to image."""
    import timm
    from timm.data import resolve_data_config

    torch.manual_seed(seed)
    model: Any = timm.create_model(architecture, num_classes=CLASSES, **kwargs).eval()
    head = model.get_classifier()
    with torch.no_grad():
        head.weight.normal_()
        head.bias.zero_()
        config = resolve_data_config({}, model=model, use_test_size=True)
        logits = torch.cat([model(batch) for batch, _ in loader_of(images, config)])
        scale = 2 / float(logits.std(0).mean())
        head.weight.mul_(scale)
        head.bias.sub_(logits.mean(0) * scale)
    return model


def check_equal(checkpoint: Path, images: Path, expected: Scores, **fields: Any) -> Any:
    adapter = adapter_of(checkpoint, **fields)
    paths = sorted(images.rglob("*.png"))
    results = adapter.infer_batch(paths, batch_size=6)
    found = [[score["label_id"] for score in r.top5_predictions or []] for r in results]
    assert found == expected.top5
    assert [r.confidence for r in results] == pytest.approx(expected.confidences, abs=1e-4)
    labels = [int(path.parent.name) for path in paths]
    for k, percent in zip((1, 5), expected.accuracy, strict=True):
        hits = sum(label in top[:k] for label, top in zip(labels, found, strict=True))
        assert 100 * hits / len(labels) == pytest.approx(percent, abs=1e-4)
    preprocess = adapter.info.preprocess
    assert tuple(adapter.info.input_shape) == tuple(expected.config["input_size"])
    for key in ("crop_pct", "crop_mode", "interpolation"):
        assert preprocess[key] == expected.config[key]
    for key in ("mean", "std"):
        assert preprocess[key] == pytest.approx(list(expected.config[key]))
    return adapter


@pytest.mark.parametrize(
    "architecture", [pytest.param(name, id=f"J-{name}") for name in ARCHITECTURES]
)
def test_bare_weights_are_evaluated_as_by_validate(
    architecture: str, images: Path, tmp_path: Path
) -> None:
    model = made(architecture, images)
    torch.save(model.state_dict(), tmp_path / "bare.pth")
    expected = validated(model, images, use_test_size=True)
    training = validated(model, images, use_test_size=False)
    assert expected.config != training.config
    assert expected.confidences != pytest.approx(training.confidences, abs=1e-3)
    assert len({tuple(row) for row in expected.top5}) > 3
    adapter = check_equal(tmp_path / "bare.pth", images, expected, architecture=architecture)
    assert adapter.info.preprocess["source"] == "timm test config"


def test_every_pretrained_config_is_resolved_as_by_validate() -> None:
    import timm
    from timm.data import resolve_data_config
    from timm.models import get_pretrained_cfg

    differing = 0
    for name in timm.list_pretrained():
        model = SimpleNamespace(pretrained_cfg=get_pretrained_cfg(name).to_dict())
        expected = resolve_data_config({}, model=model, use_test_size=True)
        channels = expected["input_size"][0]
        found = resolve_config(model, DataSources(), channels)
        for key, value in expected.items():
            assert found[key] == (list(value) if isinstance(value, tuple) else value), name
        differing += expected != resolve_data_config({}, model=model)
    assert differing > 300


def test_the_arguments_of_a_run_are_evaluated_as_by_the_trainer(
    images: Path, tmp_path: Path
) -> None:
    args = {"model": "resnet10t", "img_size": None, "crop_pct": 0.8, "interpolation": "bilinear"}
    (tmp_path / "args.yaml").write_text(
        "model: resnet10t\nimg_size: null\ncrop_pct: 0.8\ninterpolation: bilinear\nmean: null\n"
    )
    model = made("resnet10t", images)
    torch.save({"state_dict": model.state_dict()}, tmp_path / "last.pth.tar")
    expected = validated(model, images, args, use_test_size=False)
    assert expected.config["input_size"] == (3, 176, 176)
    adapter = check_equal(tmp_path / "last.pth.tar", images, expected)
    assert adapter.info.preprocess["source"] == "timm config; args.yaml: crop_pct, interpolation"


def test_settings_win_and_are_named_in_the_source(images: Path, tmp_path: Path) -> None:
    model = made("resnet10t", images)
    torch.save(model.state_dict(), tmp_path / "bare.pth")
    args = {"input_size": (3, 96, 128), "mean": [0.4, 0.5, 0.6]}
    expected = validated(model, images, args, use_test_size=True)
    settings = {"img_size": [96, 128], "mean": [0.4, 0.5, 0.6]}
    adapter = check_equal(
        tmp_path / "bare.pth", images, expected, architecture="resnet10t", preprocess=settings
    )
    source = adapter.info.preprocess["source"]
    assert source == "timm test config; settings: img_size, mean"
    everything = {key: adapter.info.preprocess[key] for key in
                  ("crop_pct", "crop_mode", "interpolation", "std")}  # fmt: skip
    stated = adapter_of(
        tmp_path / "bare.pth", architecture="resnet10t", preprocess={**settings, **everything}
    )
    assert stated.info.preprocess["source"] == "settings"


@pytest.mark.parametrize("safe", [True, False], ids=["J-safetensors", "J-bin"])
@pytest.mark.parametrize("of_folder", [True, False], ids=["folder", "file"])
def test_a_folder_of_a_hub_is_evaluated_as_by_validate(
    images: Path, tmp_path: Path, safe: bool, of_folder: bool
) -> None:
    import timm
    from timm.models import save_for_hf

    names = [f"class {number}" for number in range(CLASSES)]
    stated = {
        "mean": (0.5, 0.4, 0.3),
        "std": (0.2, 0.3, 0.4),
        "interpolation": "bilinear",
        "crop_mode": "border",
        "test_input_size": (3, 96, 96),
        "test_crop_pct": 0.9,
    }
    model = made("resnet10t", images, pretrained_cfg_overlay=stated)
    save_for_hf(model, str(tmp_path), {"label_names": names}, safe_serialization=safe)
    again = timm.create_model(f"local-dir:{tmp_path}", pretrained=True).eval()
    expected = validated(again, images, use_test_size=True)
    assert tuple(expected.config["input_size"]) == (3, 96, 96)  # a list in older timm
    assert (expected.config["crop_pct"], expected.config["crop_mode"]) == (0.9, "border")
    weights = "model.safetensors" if safe else "pytorch_model.bin"
    adapter = check_equal(tmp_path if of_folder else tmp_path / weights, images, expected)
    info = adapter.info
    assert info.preprocess["source"] == "config.json"
    assert (info.class_names, info.class_names_source) == (tuple(names), "config.json label_names")
    assert info.architecture == "resnet10t"
    assert info.checkpoint_path == str(tmp_path / weights)
