"""Reading of checkpoints: weights and metadata, without running anything in the file."""

from __future__ import annotations

import argparse
import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from snellen.adapters.checkpoints.digest import sha256_file
from snellen.adapters.checkpoints.local_path import check_local_path
from snellen.adapters.checkpoints.state_dict import load_state
from snellen.adapters.errors import InputError

WEIGHTS = {"fc.weight": torch.arange(6.0).view(2, 3), "fc.bias": torch.zeros(2)}
OTHER = {name: tensor + 1 for name, tensor in WEIGHTS.items()}


def saved(path: Path, content: Any, **options: Any) -> Path:
    torch.save(content, path / "model.pth", **options)
    return path / "model.pth"


def rejected(path: Path | str) -> InputError:
    with pytest.raises(InputError) as caught:
        load_state(path)
    return caught.value


class Payload:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, (f"touch {self.marker}",)


@pytest.mark.parametrize(
    "key", ["state_dict", "model_state_dict", "model", "state_dict_ema", "my_own_net"]
)
def test_weights_are_found_under_the_usual_keys(tmp_path: Path, key: str) -> None:
    loaded = load_state(saved(tmp_path, {key: WEIGHTS, "epoch": 4}))
    assert loaded.weights == key
    assert loaded.epoch == 4
    assert torch.equal(loaded.state_dict["fc.weight"], WEIGHTS["fc.weight"])


@pytest.mark.parametrize("zipped", [True, False])
def test_a_plain_state_dict_is_the_file_itself(tmp_path: Path, zipped: bool) -> None:
    loaded = load_state(saved(tmp_path, WEIGHTS, _use_new_zipfile_serialization=zipped))
    assert loaded.weights == "file"
    assert list(loaded.state_dict) == list(WEIGHTS)


def test_averaged_weights_are_preferred_and_the_choice_is_recorded(tmp_path: Path) -> None:
    path = saved(tmp_path, {"state_dict": WEIGHTS, "state_dict_ema": OTHER})
    assert load_state(path).weights == "state_dict_ema (not used: state_dict)"
    assert torch.equal(load_state(path).state_dict["fc.bias"], OTHER["fc.bias"])
    plain = load_state(path, use_ema=False)
    assert plain.weights == "state_dict (not used: state_dict_ema)"
    assert torch.equal(plain.state_dict["fc.bias"], WEIGHTS["fc.bias"])


def test_what_else_the_file_says_is_kept(tmp_path: Path) -> None:
    content = {
        "state_dict": WEIGHTS,
        "epoch": -1,
        "arch": "test_resnet",
        "args": argparse.Namespace(model="test_resnet", img_size=64),
        "optimizer": {"state": {}, "param_groups": []},
        "lr_scheduler": {"last_epoch": 3},
        "metric": 81.5,
        "class_to_idx": {"dog": 1, "cat": 0},
    }
    loaded = load_state(saved(tmp_path, content))
    assert loaded.epoch is None
    assert loaded.arch == "test_resnet"
    assert loaded.args["img_size"] == 64
    assert loaded.optimizer == content["optimizer"]
    assert loaded.scheduler == {"last_epoch": 3}
    assert loaded.metric == 81.5
    assert loaded.class_names == ("cat", "dog")


def test_safetensors_are_read(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    save_file(WEIGHTS, tmp_path / "m.safetensors")
    assert torch.equal(load_state(tmp_path / "m.safetensors").state_dict["fc.bias"], torch.zeros(2))
    whole = (tmp_path / "m.safetensors").read_bytes()
    bad = tmp_path / "bad.safetensors"
    for content in (b"", b"abc", whole[:-4], (2**40).to_bytes(8, "little") + whole[8:]):
        bad.write_bytes(content)
        assert rejected(bad).code == "CHECKPOINT_UNREADABLE"
    save_file({"a": torch.tensor([1.0, float("nan")])}, bad)
    assert rejected(bad).code == "CHECKPOINT_INVALID"


@pytest.mark.parametrize("form", ["zip", "legacy", "pickle2", "pickle4"])
def test_a_payload_is_rejected_and_not_run(tmp_path: Path, form: str) -> None:
    marker = tmp_path / "was-run"
    content = {"state_dict": WEIGHTS, "extra": Payload(marker)}
    path = tmp_path / "model.pth"
    if form.startswith("pickle"):
        path.write_bytes(pickle.dumps(Payload(marker), protocol=int(form[-1])))
    else:
        saved(tmp_path, content, _use_new_zipfile_serialization=form == "zip")
    error = rejected(path)
    assert error.code == "CHECKPOINT_UNSAFE"
    assert "needs to run code, and nothing was run" in error.message
    assert "torch.save(model.state_dict(), path)" in error.message
    assert not marker.exists()


def test_a_whole_pickled_model_is_rejected(tmp_path: Path) -> None:
    path = saved(tmp_path, torch.nn.Linear(2, 2))
    assert rejected(path).code == "CHECKPOINT_UNSAFE"
    # Also where another library has allowed layers, as Ultralytics does when it loads safely.
    layers: list[Any] = [torch.nn.Linear, torch.nn.Parameter, torch._utils._rebuild_parameter, set]
    with torch.serialization.safe_globals(layers):
        assert rejected(path).code == "CHECKPOINT_UNSAFE"


def test_damaged_files_are_unreadable(tmp_path: Path) -> None:
    whole = saved(tmp_path, WEIGHTS).read_bytes()
    jpeg = b"\xff\xd8\xff\xe0" + bytes(100)
    damaged = [b"", whole[: len(whole) // 2], whole[:-10], jpeg, b"plain text\n" * 9]
    for number, content in enumerate(damaged):
        path = tmp_path / f"{number}.pth"
        path.write_bytes(content)
        assert rejected(path).code == "CHECKPOINT_UNREADABLE"


@pytest.mark.parametrize("content", [[1, 2], 3, None, {}, {"epoch": 1}, "text"])
def test_what_holds_no_weights_is_invalid(tmp_path: Path, content: Any) -> None:
    assert rejected(saved(tmp_path, content)).code == "CHECKPOINT_INVALID"


def test_a_tensor_larger_than_its_storage_is_invalid(tmp_path: Path) -> None:
    path = saved(tmp_path, {"a": torch.zeros(1).expand(100_000, 1_000_000)})
    assert path.stat().st_size < 10_000
    error = rejected(path)
    assert error.code == "CHECKPOINT_INVALID"
    assert "claims 100000000000 elements" in error.message


def test_a_file_that_unpacks_to_much_more_is_invalid(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "b.pth", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", bytes(20_000_000))
    assert rejected(tmp_path / "b.pth").code == "CHECKPOINT_INVALID"


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_non_finite_weights_are_invalid(tmp_path: Path, value: float) -> None:
    error = rejected(saved(tmp_path, {"a": torch.tensor([1.0, value])}))
    assert error.code == "CHECKPOINT_INVALID"
    assert "'a'" in error.message


@pytest.mark.parametrize(
    "address",
    ["http://host/m.pth", "https://host/m.pth", "ul://user/m", "hf-hub:timm/resnet18",
     "hf_hub:x", "local-dir:/tmp/m", "s3://bucket/m.pth", "file:///tmp/m.pth"],
)  # fmt: skip
def test_addresses_are_rejected(address: str) -> None:
    error = rejected(address)
    assert error.code == "REMOTE_REFUSED"
    assert "Expected a local path" in error.message


def test_missing_files_and_directories_are_not_found(tmp_path: Path) -> None:
    assert rejected(tmp_path / "none.pth").code == "CHECKPOINT_NOT_FOUND"
    assert "is a directory" in rejected(tmp_path).message
    assert rejected("a\0b").code == "CHECKPOINT_NOT_FOUND"
    (tmp_path / "here").write_bytes(b"x")
    (tmp_path / "link").symlink_to("here")
    for name in ("here", "link"):
        assert check_local_path(str(tmp_path / name)) == tmp_path / name
    (tmp_path / "loop").symlink_to("loop")
    assert rejected(tmp_path / "loop").code == "CHECKPOINT_NOT_FOUND"


def test_the_digest_is_that_of_the_bytes(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"abc")
    assert sha256_file(tmp_path / "f").startswith("ba7816bf8f01cfea414140de5dae2223")
