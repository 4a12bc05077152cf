"""Architecture, preprocessing and options of timm models, valid and invalid."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from snellen.adapters.errors import ConfigError, InputError
from snellen.adapters.timm.adapter import TimmAdapter
from snellen.adapters.types import AdapterSpec
from tests.adapters.making import pixels, save_timm
from tests.adapters.timm.making import adapter_of


def test_the_run_directorys_arguments_make_the_model(tmp_path: Path) -> None:
    import timm

    for number in range(4):
        (tmp_path / "data" / "train" / str(number)).mkdir(parents=True)
        (tmp_path / "data" / "train" / str(number) / "a.png").write_bytes(b"x")
    run = tmp_path / "run"
    run.mkdir()
    (run / "args.yaml").write_text(
        f"model: test_resnet\ndata_dir: {tmp_path / 'data'}\nin_chans: 1\ngp: avg\n"
        "img_size: 64\ncrop_pct: 1.0\nmean: [0.5]\nstd: [0.25]\n"
    )
    model = timm.create_model("test_resnet", num_classes=4, in_chans=1)
    torch.save({"state_dict": model.state_dict()}, run / "last.pth.tar")
    info = adapter_of(run / "last.pth.tar").info
    assert info.architecture == "test_resnet"
    assert info.input_shape == (1, 64, 64)
    assert info.class_names == ("0", "1", "2", "3")
    assert info.class_names_source == f"folders of {tmp_path / 'data' / 'train'}"
    assert info.preprocess["mean"] == [0.5]
    assert info.preprocess["crop_pct"] == 1.0
    label = adapter_of(run / "last.pth.tar").infer_single(pixels()).predicted_label
    assert label in {"0", "1", "2", "3"}


@pytest.mark.parametrize("name", ["hf-hub:timm/resnet18", "local-dir:/tmp/m", "https://host/m"])
def test_architectures_from_elsewhere_are_rejected(checkpoint: Path, name: str) -> None:
    with pytest.raises(InputError) as caught:
        adapter_of(checkpoint, architecture=name)
    assert caught.value.code == "REMOTE_REFUSED"


def test_an_unknown_architecture_names_the_nearest(checkpoint: Path) -> None:
    with pytest.raises(InputError, match=r"did you mean .*test_resnet"):
        adapter_of(checkpoint, architecture="test_resnett")


def test_a_checkpoint_without_architecture_needs_one(tmp_path: Path) -> None:
    save_timm(tmp_path / "m.pth", arch=None)
    with pytest.raises(InputError) as caught:
        adapter_of(tmp_path / "m.pth")
    assert caught.value.code == "ARCHITECTURE_MISSING"
    assert adapter_of(tmp_path / "m.pth", architecture="test_resnet").info.num_classes == 10


def test_another_architecture_or_class_count_is_rejected(checkpoint: Path) -> None:
    with pytest.raises(InputError) as caught:
        adapter_of(checkpoint, architecture="test_vit")
    assert caught.value.code == "CHECKPOINT_MISMATCH"
    with pytest.raises(InputError, match="wrong class count: the checkpoint has 10 outputs"):
        adapter_of(checkpoint, options={"num_classes": 7})
    with pytest.raises(InputError, match="wrong class count: 3 class names") as caught:
        adapter_of(checkpoint, class_names=("a", "b", "c"))
    assert caught.value.code == "CLASS_COUNT"


@pytest.mark.parametrize(
    ("preprocess", "message"),
    [
        ({"img_sise": 64}, "did you mean img_size"),
        ({"img_size": 0}, "preprocess.img_size is 0. Expected 1 to"),
        ({"img_size": "224"}, "preprocess.img_size"),
        ({"crop_pct": 1.5}, "preprocess.crop_pct"),
        ({"crop_mode": "middle"}, "center, squash, border"),
        ({"interpolation": "cubic"}, "bicubic"),
        ({"mean": 0.5}, "preprocess.mean"),
        ({"std": [0.5, 0, 0.5]}, "preprocess.std"),
        ({"mean": [0.5, 0.5]}, "one for each of 3 channels"),
    ],
)
def test_preprocess_settings_are_checked(
    checkpoint: Path, preprocess: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        adapter_of(checkpoint, preprocess=preprocess)
    assert caught.value.code == "PREPROCESS_INVALID"


@pytest.mark.parametrize(
    "options", [{"ema": True}, {"match": "order"}, {"use_ema": "no"}, {"num_classes": 0}]
)
def test_options_are_checked(checkpoint: Path, options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError) as caught:
        adapter_of(checkpoint, options=options)
    assert caught.value.code == "OPTION_INVALID"


def test_an_unknown_device_is_rejected(checkpoint: Path) -> None:
    spec = AdapterSpec("timm", checkpoint=str(checkpoint))
    with pytest.raises(ConfigError, match="Expected cpu, cuda or cuda:N"):
        TimmAdapter.from_spec(spec, device="gpu")
    with pytest.raises(ConfigError, match="CUDA devices"):
        TimmAdapter.from_spec(spec, device="cuda:99")
