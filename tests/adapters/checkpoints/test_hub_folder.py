"""Folders with a ``config.json``, as model hubs store them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from snellen.adapters.checkpoints.hub_folder import is_hub_file, read_hub_config, weights_of
from snellen.adapters.errors import InputError
from snellen.adapters.registry import adapter_for_file


def folder_of(path: Path, config: Any, *files: str) -> Path:
    text = config if isinstance(config, str) else json.dumps(config)
    (path / "config.json").write_text(text)
    for name in files:
        (path / name).write_bytes(b"weights")
    return path


@pytest.mark.parametrize(
    ("config", "names", "source"),
    [
        pytest.param({"label_names": ["a", "b"]}, ("a", "b"), "label_names", id="J-list"),
        pytest.param({"label_names": {"1": "b", "0": "a"}}, ("a", "b"), "label_names", id="J-ids"),
        pytest.param({"pretrained_cfg": {"label_names": ["a", "b"]}}, ("a", "b"),
                     "pretrained_cfg.label_names", id="J-nested"),
        pytest.param({"labels": ["a", "b"]}, ("a", "b"), "labels", id="J-one-level"),
        pytest.param({"id2label": {"0": "a", "1": "b"}}, ("a", "b"), "id2label", id="J-id2label"),
    ],
)  # fmt: skip
def test_class_names_are_found(
    config: dict[str, Any], names: tuple[str, ...], source: str, tmp_path: Path
) -> None:
    found = read_hub_config(folder_of(tmp_path, {"architecture": "resnet18", **config}))
    assert found is not None
    assert found.class_names == names
    assert found.class_names_source == f"config.json {source}"


def test_names_without_an_order_or_made_up_are_not_used(tmp_path: Path) -> None:
    gaps = {"architecture": "resnet18", "label_names": {"0": "a", "2": "c"}}
    found = read_hub_config(folder_of(tmp_path, gaps))
    assert found is not None
    assert found.class_names is None
    assert found.class_names_source == "ignored config.json label_names: its ids are not 0 to 1"
    placeholders = {"model_type": "resnet", "id2label": {"0": "LABEL_0", "1": "LABEL_1"}}
    found = read_hub_config(folder_of(tmp_path, placeholders))
    assert found is not None
    assert (found.class_names, found.architecture) == (None, None)


def test_values_of_one_level_are_those_of_two(tmp_path: Path) -> None:
    values = {"num_classes": 7, "mean": [0.1, 0.2, 0.3], "crop_pct": 0.9}
    flat = read_hub_config(folder_of(tmp_path, {"architecture": "resnet18", **values}))
    nested = read_hub_config(
        folder_of(tmp_path, {"architecture": "resnet18", "pretrained_cfg": values})
    )
    assert flat is not None and nested is not None
    assert flat.num_classes == nested.num_classes == 7
    for found in (flat, nested):
        assert {key: found.pretrained_cfg[key] for key in values} == values


@pytest.mark.parametrize("content", [{"lr": 0.1}, [1], {"architecture": 3}])
def test_a_config_of_something_else_is_no_description(content: Any, tmp_path: Path) -> None:
    folder = folder_of(tmp_path, content, "model.pth")
    assert read_hub_config(folder) is None
    assert weights_of(folder) is None
    assert not is_hub_file(folder / "model.pth")


def test_a_config_that_is_not_json_is_rejected(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, "{'architecture': 1", "model.pth")
    with pytest.raises(InputError, match="it is not JSON") as caught:
        read_hub_config(folder)
    assert caught.value.code == "CHECKPOINT_INVALID"
    assert not is_hub_file(folder / "model.pth")


def test_weights_are_found_in_timms_order(tmp_path: Path) -> None:
    config = {"architecture": "resnet18"}
    assert weights_of(tmp_path) is None
    with pytest.raises(InputError, match="no weights") as caught:
        weights_of(folder_of(tmp_path, config))
    assert caught.value.code == "CHECKPOINT_NOT_FOUND"
    only = folder_of(tmp_path, config, "mine.pth") / "mine.pth"
    assert weights_of(tmp_path) == only
    folder_of(tmp_path, config, "model-00001-of-00002.safetensors")
    with pytest.raises(InputError, match=r"mine\.pth, model-00001.* merge weights"):
        weights_of(tmp_path)
    folder_of(tmp_path, config, "pytorch_model.bin", "model.safetensors")
    assert weights_of(tmp_path) == tmp_path / "model.safetensors"


def test_weights_beside_a_description_are_recognised(tmp_path: Path) -> None:
    folder_of(tmp_path, {"architecture": "resnet18"}, "model.safetensors", "model.onnx")
    assert adapter_for_file(tmp_path / "model.safetensors") == "timm"
    assert adapter_for_file(tmp_path / "model.onnx") == "onnx"
    (tmp_path / "args.yaml").write_text("model: resnet18\n")
    assert adapter_for_file(tmp_path / "model.safetensors") is None, "it is a run directory"
