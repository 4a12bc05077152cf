"""Invalid settings of Ultralytics models."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from snellen.adapters.errors import ConfigError, InputError
from snellen.adapters.types import AdapterSpec
from snellen.adapters.ultralytics.adapter import UltralyticsAdapter
from tests.adapters.making import picture
from tests.adapters.ultralytics.making import checkpoint, grey_checkpoint, loaded


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"imgsize": 64}, "'imgsize' is unknown .* imgsz, nms, nms_iou"),
        ({"imgsz": 100}, "100 is no multiple of the model's stride 32.*Set model.imgsz=128"),
        (
            {"imgsz": (96, 100)},
            r"\[96,100\] is no multiple of the model's stride 32.*Set model.imgsz=\[96,128\]",
        ),
        ({"imgsz": [96, 0]}, r"'imgsz' .* is \[96, 0\]\. Expected: a number above 0, or"),
        ({"imgsz": "96"}, "'imgsz' .* is '96'"),
        ({"nms_iou": 2.0}, "'nms_iou' .* is 2.0"),
    ],
)
def test_options_that_cannot_be(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        loaded(checkpoint("detect"), **options)
    assert caught.value.code == "OPTION_INVALID"


@pytest.mark.parametrize("setting", [{"nms_iou": 0.5}, {"agnostic_nms": True}])
def test_settings_of_suppression_for_a_head_without_it(setting: dict[str, Any]) -> None:
    (key,) = setting
    with pytest.raises(ConfigError, match=rf"model\.{key} is .*Remove it") as caught:
        loaded(checkpoint("detect-26"), nms=False, **setting)
    assert caught.value.code == "OPTION_INVALID"


def test_a_size_as_a_list_is_a_rectangle() -> None:
    assert loaded(checkpoint("detect"), imgsz=[96, 128]).info.input_shape == (3, 96, 128)


def test_grey_input_of_a_classifier_is_rejected(tmp_path: Path) -> None:
    path = grey_checkpoint("classify", tmp_path / "grey.pt")
    with pytest.raises(InputError, match=r"its input has 1 channels\. Expected 3, RGB") as caught:
        loaded(path)
    assert caught.value.code == "CHECKPOINT_INVALID"


def test_class_names_are_as_many_as_outputs() -> None:
    spec = AdapterSpec("ultralytics", str(checkpoint("detect")), class_names=("a", "b"))
    with pytest.raises(InputError) as caught:
        UltralyticsAdapter.from_spec(spec, device="cpu")
    assert caught.value.code == "CLASS_COUNT"
    named = AdapterSpec("ultralytics", str(checkpoint("classify")), class_names=("a", "b", "c"))
    adapter = UltralyticsAdapter.from_spec(named, device="cpu")
    assert adapter.info.class_names_source == "given"
    assert adapter.infer_single(picture()).predicted_label in {"a", "b", "c"}


def test_preprocessing_of_classifiers_does_not_apply() -> None:
    spec = AdapterSpec("ultralytics", str(checkpoint("detect")), preprocess={"img_size": 64})
    with pytest.raises(ConfigError, match=r"set model\.imgsz instead") as caught:
        UltralyticsAdapter.from_spec(spec, device="cpu")
    assert caught.value.code == "PREPROCESS_INVALID"


@pytest.mark.slow
def test_suppression_is_torchvisions_in_every_process() -> None:
    """Ultralytics takes a slow loop, with another order of ties, unless torchvision is imported."""
    code = (
        "import sys, torch\n"
        "from snellen.adapters.ultralytics.environment import import_ultralytics\n"
        "import_ultralytics()\n"
        "from ultralytics.utils.nms import TorchNMS, non_max_suppression\n"
        "torch.manual_seed(0)\n"
        "outputs = torch.rand(2, 7, 400)\n"
        "outputs[:, :4] *= 60\n"
        "outputs[:, 4:] = (outputs[:, 4:] * 8).round() / 8  # many equal confidences\n"
        "mine = non_max_suppression(outputs.clone(), 0.1, 0.5, multi_label=True)\n"
        "print([name in sys.modules for name in ('torchvision', 'torch._dynamo')])\n"
        "import torchvision\n"
        "theirs = non_max_suppression(outputs.clone(), 0.1, 0.5, multi_label=True)\n"
        "print(TorchNMS.nms is torchvision.ops.nms, len(mine[0]) > 50)\n"
        "print(all(torch.equal(a, b) for a, b in zip(mine, theirs)))"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout == "[False, False]\nFalse True\nTrue\n"
