"""Errors of weights that do not fit a model: both sides are named, and the cause if it is known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from snellen.adapters.checkpoints.apply import apply_state
from snellen.adapters.checkpoints.state_dict import LoadedCheckpoint, load_state
from snellen.adapters.errors import InputError

WEIGHTS = {"fc.weight": torch.arange(6.0).view(2, 3), "fc.bias": torch.zeros(2)}


def loaded(path: Path, content: Any) -> LoadedCheckpoint:
    torch.save(content, path / "model.pth")
    return load_state(path / "model.pth")


def model_of(outputs: int = 2, width: int = 1) -> torch.nn.Module:
    model = torch.nn.Sequential()
    model.add_module("body", torch.nn.Linear(width, 3))
    model.add_module("norm", torch.nn.BatchNorm1d(3))
    model.add_module("fc", torch.nn.Linear(3, outputs))
    return model


def message(model: torch.nn.Module, path: Path, content: Any, **options: Any) -> str:
    with pytest.raises(InputError) as caught:
        apply_state(model, loaded(path, content), **options)
    assert caught.value.code == "CHECKPOINT_MISMATCH"
    return caught.value.message


def test_both_sides_are_named(tmp_path: Path) -> None:
    model = torch.nn.Sequential()
    model.add_module("fc", torch.nn.Linear(3, 5))
    model.add_module("more", torch.nn.ModuleList(torch.nn.Linear(1, 1) for _ in range(8)))
    text = message(model, tmp_path, {**WEIGHTS, "x": torch.ones(1)}, classifiers=("fc",))
    assert "wrong class count: the checkpoint has 2 outputs, the model 5;" in text
    assert "1 only in the file: x;" in text
    assert "16 only in the model: more.0.weight, " in text
    assert "and 6 more" in text
    assert "fc.weight (2, 3) in the file, (5, 3) in the model" in text
    assert "0 of the model's 18 tensors fit" in text
    assert "Set model.architecture to the one of the training" in text


def test_a_right_architecture_is_not_blamed(tmp_path: Path) -> None:
    state = model_of().state_dict()
    text = message(model_of(7), tmp_path, state, classifiers=("fc",))
    assert "the checkpoint has 2 outputs, the model 7; the other tensors fit" in text
    assert "Set model.options.num_classes=2" in text
    body = {name: tensor for name, tensor in state.items() if not name.startswith("fc")}
    headless = message(model_of(), tmp_path, body, classifiers=("fc",))
    assert "it has no last layer (fc); the other tensors fit" in headless
    other = {f"b{number}": tensor for number, tensor in enumerate(state.values())}
    renamed = message(model_of(), tmp_path, other, classifiers=("fc",))
    assert "Only the names differ" in renamed
    assert "set model.match=position" in renamed
    for found in (text, headless, renamed):
        assert "model.architecture" not in found


def test_positions_of_another_size_are_named_as_such(tmp_path: Path) -> None:
    model = model_of()
    model.register_parameter("pos_embed", torch.nn.Parameter(torch.zeros(1, 5, 3)))
    state = {**model.state_dict(), "pos_embed": torch.zeros(1, 17, 3)}
    text = message(model, tmp_path, state)
    assert "its positions are for another input size; the other tensors fit" in text
    assert "pos_embed (1, 17, 3) in the file, (1, 5, 3) in the model" in text
    assert "preprocess.img_size" in text


def test_counters_of_batch_normalisation_may_lack(tmp_path: Path) -> None:
    state = model_of().state_dict()
    del state["norm.num_batches_tracked"]
    model = model_of()
    apply_state(model, loaded(tmp_path, dict(state)))
    assert torch.equal(model.get_parameter("fc.weight"), state["fc.weight"])


def test_weights_match_by_position_only_when_every_shape_does(tmp_path: Path) -> None:
    model = torch.nn.Linear(3, 2)
    found = loaded(tmp_path, WEIGHTS)
    with pytest.raises(InputError, match="2 only in the model: weight, bias"):
        apply_state(model, found)
    apply_state(model, found, by_position=True)
    assert torch.equal(model.weight, WEIGHTS["fc.weight"])
    with pytest.raises(InputError, match="with a different shape"):
        apply_state(torch.nn.Linear(2, 3), found, by_position=True)
    with pytest.raises(InputError, match="has 2 tensors, the model 1"):
        apply_state(torch.nn.Linear(3, 2, bias=False), found, by_position=True)
