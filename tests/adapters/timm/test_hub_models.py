"""Models of hub folders, and models of another input size than timm's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from torch import nn

from snellen.adapters.errors import ConfigError, InputError
from tests.adapters.making import pixels, save_timm
from tests.adapters.timm.making import adapter_of


def hub(folder: Path, model: nn.Module, **config: Any) -> Path:
    from safetensors.torch import save_file

    described = {"architecture": "test_resnet", "num_classes": 10, **config}
    (folder / "config.json").write_text(json.dumps(described))
    save_file(model.state_dict(), folder / "model.safetensors")
    return folder / "model.safetensors"


@pytest.fixture
def model() -> nn.Module:
    torch.manual_seed(1)
    made: nn.Module = timm.create_model("test_resnet", num_classes=10).eval()
    return made


def test_a_description_of_one_level_is_used(model: nn.Module, tmp_path: Path) -> None:
    path = hub(
        tmp_path, model, input_size=[3, 64, 96], mean=[0.1, 0.2, 0.3], std=[0.5, 0.5, 0.5],
        crop_pct=0.8, interpolation="bilinear", labels=[f"n{n}" for n in range(10)],
        url="https://host/x", hf_hub_id="timm/x", unknown_key=1,
    )  # fmt: skip
    info = adapter_of(path).info
    assert info.input_shape == (3, 64, 96)
    assert info.preprocess["mean"] == [0.1, 0.2, 0.3]
    assert info.preprocess["crop_pct"] == 0.8
    assert info.class_names == tuple(f"n{n}" for n in range(10))


@pytest.mark.parametrize(
    ("architecture", "kwargs"),
    [
        pytest.param("test_vit", {"img_size": 64}, id="J-size"),
        pytest.param("test_vit", {"dynamic_img_size": True}, id="J-any-size"),
        pytest.param("test_efficientnet", {"in_chans": 1}, id="J-grey"),
        pytest.param("resnet10t", {"global_pool": "max"}, id="J-pooling"),
    ],
)
def test_a_folder_that_timm_saved_is_the_model_that_timm_loads(
    architecture: str, kwargs: dict[str, Any], tmp_path: Path
) -> None:
    from timm.data import resolve_input_data_config
    from timm.models import save_for_hf

    saved = timm.create_model(architecture, num_classes=7, **kwargs)
    save_for_hf(saved, str(tmp_path), safe_serialization=True)
    again = timm.create_model(f"local-dir:{tmp_path}", pretrained=True)
    adapter = adapter_of(tmp_path)
    state = again.state_dict()
    assert all(torch.equal(state[k], v) for k, v in adapter.model.state_dict().items())
    for key, value in resolve_input_data_config(again, {}, use_test_size=True).items():
        assert adapter.info.preprocess[key] == (list(value) if isinstance(value, tuple) else value)
    assert adapter.infer_single(pixels()).status == "ok"


def test_a_folder_in_the_cache_of_a_hub_is_read(model: nn.Module, tmp_path: Path) -> None:
    """There the names are links to files that are named by their hashes."""
    path = hub(tmp_path, model, label_names=[f"n{n}" for n in range(10)])
    snapshot = tmp_path / "snapshots" / "1"
    snapshot.mkdir(parents=True)
    for number, file in enumerate((path, tmp_path / "config.json")):
        stored = file.rename(tmp_path / f"blob{number}")
        (snapshot / file.name).symlink_to(stored)
    for named in (snapshot, snapshot / "model.safetensors"):
        info = adapter_of(named).info
        assert info.class_names_source == "config.json label_names"
        assert info.checkpoint_path == str(snapshot / "model.safetensors")


def test_a_file_of_transformers_wrapper_is_read(model: nn.Module, tmp_path: Path) -> None:
    """Its names have a prefix, and its placeholders are no names."""
    wrapped = nn.ModuleDict({"timm_model": model})
    path = hub(
        tmp_path, wrapped, model_type="timm_wrapper", label_names=[f"LABEL_{n}" for n in range(10)],
        pretrained_cfg={"mean": [0.1, 0.2, 0.3], "label_names": [f"n{n}" for n in range(10)]},
    )  # fmt: skip
    info = adapter_of(path).info
    assert info.weights == "file without the prefix 'timm_model.'"
    assert info.preprocess["mean"] == [0.1, 0.2, 0.3]
    assert info.class_names == tuple(f"n{n}" for n in range(10))


def test_bare_safetensors_need_an_architecture(model: nn.Module, tmp_path: Path) -> None:
    path = hub(tmp_path, model)
    (tmp_path / "config.json").unlink()
    with pytest.raises(InputError) as caught:
        adapter_of(path)
    assert caught.value.code == "ARCHITECTURE_MISSING"
    info = adapter_of(path, architecture="test_resnet").info
    assert (info.weights, info.num_classes) == ("file", 10)


def test_model_arguments_of_a_description_make_the_model(tmp_path: Path) -> None:
    grey = timm.create_model("test_resnet", num_classes=10, in_chans=1)
    path = hub(tmp_path, grey, model_args={"in_chans": 1, "checkpoint_path": "/etc/passwd"})
    assert adapter_of(path).info.input_shape[0] == 1


def test_names_of_another_number_are_said_to_be_ignored(model: nn.Module, tmp_path: Path) -> None:
    info = adapter_of(hub(tmp_path, model, label_names=["a", "b"])).info
    assert info.class_names is None
    assert info.class_names_source == "ignored config.json label_names: 2 names for 10 outputs"


def test_contradictions_are_rejected(model: nn.Module, tmp_path: Path) -> None:
    path = hub(tmp_path, model, num_classes=7)
    with pytest.raises(InputError, match=r"num_classes 7, and the last layer .* 10 outputs"):
        adapter_of(path)
    assert adapter_of(path, options={"num_classes": 10}).info.num_classes == 10
    with pytest.raises(ConfigError, match="describes test_resnet") as caught:
        adapter_of(path, architecture="test_vit")
    assert caught.value.code == "ARCHITECTURE_CONFLICT"


@pytest.mark.parametrize(
    "values", [{"std": [0, 1, 1]}, {"crop_pct": 7}, {"mean": ["a"]}, {"input_size": [3, 0, 0]}]
)
def test_values_of_a_description_are_checked(
    values: dict[str, Any], model: nn.Module, tmp_path: Path
) -> None:
    path = hub(tmp_path, model, pretrained_cfg=values)
    with pytest.raises(ConfigError) as caught:
        adapter_of(path)
    assert caught.value.code == "PREPROCESS_INVALID"


@pytest.mark.parametrize("name", ["hf-hub:timm/resnet18", "no_such_model"])
def test_names_in_a_description_are_not_trusted(
    name: str, model: nn.Module, tmp_path: Path
) -> None:
    with pytest.raises(InputError):
        adapter_of(hub(tmp_path, model, architecture=name))


def test_a_transformer_of_any_size_takes_the_size_of_the_settings(tmp_path: Path) -> None:
    save_timm(tmp_path / "v.pth", "test_vit")
    options = {"model_kwargs": {"dynamic_img_size": True}}
    adapter = adapter_of(tmp_path / "v.pth", preprocess={"img_size": [96, 64]}, options=options)
    assert adapter.info.input_shape == (3, 96, 64)
    dynamic = timm.create_model("test_vit", num_classes=10, dynamic_img_size=True).eval()
    dynamic.load_state_dict(adapter.model.state_dict())
    item = adapter.preprocess_image(pixels())
    normal = (torch.from_numpy(item.array)[None] / 255 - adapter._mean) / adapter._std
    with torch.inference_mode():
        expected = dynamic(normal).softmax(1)[0]
    result = adapter.infer_preprocessed([item], batch_size=1)[0]
    assert result.confidence == pytest.approx(float(expected.max()), abs=1e-5)
    with pytest.raises(ConfigError, match=r"img_size is 100 x 100, at which test_vit fails"):
        adapter_of(tmp_path / "v.pth", preprocess={"img_size": 100}, options=options)


def test_a_transformer_of_fixed_size_is_built_with_it(tmp_path: Path) -> None:
    torch.manual_seed(1)
    small = timm.create_model("test_vit", num_classes=10, img_size=64)
    torch.save(small.state_dict(), tmp_path / "v.pth")
    given: dict[str, Any] = {"architecture": "test_vit"}
    info = adapter_of(tmp_path / "v.pth", **given, preprocess={"img_size": 64}).info
    assert info.input_shape == (3, 64, 64)
    of_kwargs = adapter_of(tmp_path / "v.pth", **given, options={"model_kwargs": {"img_size": 64}})
    assert of_kwargs.info.input_shape == (3, 64, 64)
    with pytest.raises(ConfigError, match="Expected 96 x 96, the input size") as caught:
        adapter_of(
            tmp_path / "v.pth", **given, preprocess={"img_size": 96},
            options={"model_kwargs": {"img_size": 64}},
        )  # fmt: skip
    assert caught.value.code == "OPTION_INVALID"
