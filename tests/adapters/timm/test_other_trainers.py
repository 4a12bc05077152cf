"""Checkpoints of other trainers give the outputs of the plain model."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel

from snellen.adapters.errors import InputError
from tests.adapters.making import pixels
from tests.adapters.timm.making import adapter_of

NAME = "test_resnet"
Content = Callable[[nn.Module, nn.Module], dict[str, Any]]
"""Contents of a checkpoint file, of the plain and of the averaged model."""


def model_of(seed: int) -> nn.Module:
    torch.manual_seed(seed)
    made: nn.Module = timm.create_model(NAME, num_classes=10).eval()
    return made


@pytest.fixture(scope="module")
def plain() -> nn.Module:
    return model_of(1)


@pytest.fixture(scope="module")
def averaged() -> nn.Module:
    return model_of(2)


class Lightning(nn.Module):
    """A module of a trainer: the model, a loss with weights, and a metric's counts."""

    def __init__(self, model: nn.Module, **models: nn.Module) -> None:
        super().__init__()
        self.model = model
        self.criterion = nn.CrossEntropyLoss(weight=torch.ones(10))
        self.register_buffer("seen", torch.zeros(1))
        for name, module in models.items():
            self.add_module(name, module)


def prefixed(model: nn.Module, prefix: str) -> dict[str, Any]:
    return {f"{prefix}{name}": tensor for name, tensor in model.state_dict().items()}


def lightning(state: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "epoch": 4, "global_step": 100, "pytorch-lightning_version": "2.6.6", "state_dict": state,
        "loops": {"fit_loop": {"state_dict": {}}}, "callbacks": {"ModelCheckpoint": {"best": 1}},
        "optimizer_states": [{"state": {0: {"step": torch.ones(1)}}, "param_groups": []}],
        "lr_schedulers": [], "hparams_name": "kwargs", "hyper_parameters": {"lr": 0.1}, **more,
    }  # fmt: skip


def outputs(path: Path, **options: Any) -> tuple[Any, Any]:
    adapter = adapter_of(path, architecture=NAME, options=options)
    items = [adapter.preprocess_image(pixels(seed=seed)) for seed in range(2)]
    with torch.inference_mode():
        batch = torch.stack([torch.from_numpy(item.array) for item in items])
        return adapter._forward(batch), adapter


def expected(model: nn.Module, adapter: Any) -> Any:
    items = [adapter.preprocess_image(pixels(seed=seed)) for seed in range(2)]
    batch = torch.stack([torch.from_numpy(item.array) for item in items]) / 255
    with torch.inference_mode():
        return model((batch - adapter._mean) / adapter._std)


PLAIN: dict[str, tuple[Content, str]] = {
    "L-lightning": (
        lambda plain, _: lightning(Lightning(plain).state_dict()),
        "state_dict without the prefix 'model.'; ignored 2 other tensors: seen, criterion.weight",
    ),
    "L-trainer-of-hugging-face": (
        lambda plain, _: prefixed(plain, "timm_model."), "file without the prefix 'timm_model.'",
    ),
    "L-ddp": (lambda plain, _: {"model": prefixed(plain, "module.")},
              "model without the prefix 'module.'"),
    "L-compiled": (lambda plain, _: {"state_dict": prefixed(plain, "_orig_mod.")},
                   "state_dict without the prefix '_orig_mod.'"),
    "L-all-of-them": (
        lambda plain, _: lightning(prefixed(plain, "model._orig_mod.module.")),
        "state_dict without the prefix 'model._orig_mod.module.'",
    ),
    "L-one-module-with-two-names": (
        lambda plain, _: lightning(Lightning(plain, network=plain).state_dict()),
        "state_dict without the prefix 'model.'; not used: prefix 'network.'; "
        "ignored 2 other tensors: seen, criterion.weight",
    ),
    "L-own-key": (lambda plain, _: {"best": torch.ones(1), "net_g": plain.state_dict()}, "net_g"),
    "L-deepspeed": (lambda plain, _: {"module": plain.state_dict(), "dp_world_size": 2}, "module"),
    "L-averaged-by-torch": (
        lambda plain, _: AveragedModel(plain).state_dict(),
        "file without the prefix 'module.'; ignored 1 other tensors: n_averaged",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("content", "weights"), PLAIN.values(), ids=PLAIN)
def test_one_model_in_a_trainers_file(
    content: Content, weights: str, plain: nn.Module, averaged: nn.Module, tmp_path: Path
) -> None:
    torch.save(content(plain, averaged), tmp_path / "m.pth")
    found, adapter = outputs(tmp_path / "m.pth")
    torch.testing.assert_close(found, expected(plain, adapter), atol=1e-5, rtol=1e-5)
    assert adapter.info.weights == weights


BOTH: dict[str, Content] = {
    "L-timm": lambda plain, average: {
        "state_dict": plain.state_dict(), "state_dict_ema": average.state_dict()
    },
    "L-torchvision": lambda plain, average: {
        "model": plain.state_dict(), "model_ema": AveragedModel(average).state_dict()
    },
    "L-mmengine": lambda plain, average: {
        "state_dict": plain.state_dict(), "ema_state_dict": prefixed(average, "module.")
    },
    "L-basicsr": lambda plain, average: {
        "params": plain.state_dict(), "params_ema": average.state_dict()
    },
    "L-ema-wrapper": lambda plain, average: {
        "model": plain.state_dict(), "ema": {"decay": 0.9, "module": average.state_dict()}
    },
    "L-lightning-weight-averaging": lambda plain, average: lightning(
        Lightning(average).state_dict(), current_model_state=Lightning(plain).state_dict(),
        averaging_state={"n_averaged": torch.ones(1)},
    ),
    "L-lightning-module-with-ema": lambda plain, average: lightning(
        Lightning(plain, ema_model=AveragedModel(average)).state_dict()
    ),
}  # fmt: skip


@pytest.mark.parametrize("use_ema", [True, False])
@pytest.mark.parametrize("content", BOTH.values(), ids=BOTH)
def test_of_two_sets_of_weights_one_is_chosen_and_the_other_named(
    content: Content, use_ema: bool, plain: nn.Module, averaged: nn.Module, tmp_path: Path
) -> None:
    torch.save(content(plain, averaged), tmp_path / "m.pth")
    found, adapter = outputs(tmp_path / "m.pth", use_ema=use_ema)
    wanted, other = (averaged, plain) if use_ema else (plain, averaged)
    torch.testing.assert_close(found, expected(wanted, adapter), atol=1e-5, rtol=1e-5)
    assert not torch.allclose(found, expected(other, adapter), atol=1e-3)
    assert "not used: " in adapter.info.weights


@pytest.mark.parametrize("keys", ["state_dict_ema", "ema_model"], ids=["L-key", "L-prefix"])
def test_averaged_weights_alone_are_not_taken_for_others(
    keys: str, averaged: nn.Module, tmp_path: Path
) -> None:
    inside = keys == "ema_model"
    state = prefixed(averaged, "ema_model.") if inside else averaged.state_dict()
    torch.save({"state_dict" if inside else keys: state}, tmp_path / "m.pth")
    assert outputs(tmp_path / "m.pth")[1].info.num_classes == 10
    with pytest.raises(InputError, match=r"only averaged weights \(.*Set model\.use_ema=true"):
        outputs(tmp_path / "m.pth", use_ema=False)


def test_two_models_need_a_choice(plain: nn.Module, averaged: nn.Module, tmp_path: Path) -> None:
    torch.save(
        {**prefixed(plain, "student."), **prefixed(averaged, "teacher.")}, tmp_path / "m.pth"
    )
    with pytest.raises(InputError, match=r"holds 2 models .*model\.options\.prefix") as caught:
        outputs(tmp_path / "m.pth")
    assert caught.value.code == "CHECKPOINT_MISMATCH"
    for prefix, model in (("student", plain), ("teacher.", averaged)):
        found, adapter = outputs(tmp_path / "m.pth", prefix=prefix)
        torch.testing.assert_close(found, expected(model, adapter), atol=1e-5, rtol=1e-5)
    with pytest.raises(InputError, match=r"prefix 'mentor\.' .*one of its prefixes: 'student\.'"):
        outputs(tmp_path / "m.pth", prefix="mentor")
    torch.save({"a": plain.state_dict(), "b": averaged.state_dict()}, tmp_path / "m.pth")
    with pytest.raises(InputError, match=r"several sets of weights \(a, b\)"):
        outputs(tmp_path / "m.pth")


def test_more_tensors_of_the_model_itself_are_not_ignored(plain: nn.Module, tmp_path: Path) -> None:
    """A deeper model of the same family has every tensor of the smaller one."""
    deeper = {**prefixed(plain, "model."), "model.layer5.0.conv1.weight": torch.ones(3)}
    torch.save(deeper, tmp_path / "m.pth")
    with pytest.raises(InputError, match=r"1 only in the file: layer5\.0\.conv1\.weight") as caught:
        outputs(tmp_path / "m.pth")
    assert caught.value.code == "CHECKPOINT_MISMATCH"


def test_a_head_of_another_name_is_named_on_both_sides(plain: nn.Module, tmp_path: Path) -> None:
    body = copy.deepcopy(plain)
    body.fc = nn.Identity()
    state = {**prefixed(body, "backbone."), "head.weight": torch.ones(10, 4)}
    torch.save(state, tmp_path / "m.pth")
    with pytest.raises(InputError, match=r"no last layer \(fc\).* only in the file: head\.weight"):
        outputs(tmp_path / "m.pth")
