"""TorchScript files give the predictions of the checkpoint; they are run only if trusted."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from snellen.adapters.errors import ConfigError, InputError
from snellen.adapters.exported.torchscript_adapter import TorchScriptAdapter
from snellen.adapters.types import AdapterSpec
from tests.adapters.conftest import exports
from tests.adapters.exported.making import (
    differences,
    load,
    objects,
    original,
    pictures,
)
from tests.adapters.making import save_timm
from tests.contracts.adapter_contract import AdapterContract

TIMM = "test_efficientnet_gn"


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    return exports(tmp_path_factory.mktemp("torchscript"), "torchscript")


def trusted(path: Path, **options: Any) -> Any:
    return load("torchscript", path, trust=True, **options)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["classify", "detect", "segment", "pose", "pose-26"])
def test_a_yolo_export_gives_the_answers_of_its_checkpoint(
    name: str, files: Callable[[str], Path]
) -> None:
    adapter = trusted(files(name))
    for found in differences(original(name), adapter, pictures()):
        assert found.reasons == (), found
    if name != "classify":
        assert objects(adapter.infer_batch(pictures())) > 10
    assert adapter.info.class_names == ("circle", "square", "triangle")


def test_a_box_counts_for_several_classes_if_the_spec_says_so(
    files: Callable[[str], Path],
) -> None:
    options = {"trust": True}
    spec = AdapterSpec("torchscript", str(files("detect")), min_confidence=0.001, options=options)

    def count(multi_label: bool) -> int:
        chosen = replace(spec, multi_label=multi_label)
        adapter = TorchScriptAdapter.from_spec(chosen, device="cpu")
        return objects(adapter.infer_batch(pictures()))

    assert count(True) > count(False)


def test_a_timm_export_gives_the_answers_of_its_checkpoint(files: Callable[[str], Path]) -> None:
    adapter = trusted(files(TIMM))
    first = load("timm", files(TIMM).with_suffix(".pth"))
    for found in differences(first, adapter, pictures()):
        assert found.reasons == (), found
    assert adapter.info.preprocess == first.info.preprocess
    assert adapter.info.parameters == first.info.parameters


class TestTimmContract(AdapterContract):
    @pytest.fixture
    def spec(self, files: Callable[[str], Path]) -> AdapterSpec:
        return AdapterSpec("torchscript", str(files(TIMM)), options={"trust": True})


def test_nothing_of_a_file_runs_without_trust(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Printing(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.number = 1

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            print("payload runs")
            return images

        @torch.jit.export
        def __getstate__(self) -> tuple[int, bool]:
            return self.number, self.training

        @torch.jit.export
        def __setstate__(self, state: tuple[int, bool]) -> None:
            self.number = state[0]
            self.training = state[1]
            print("payload runs")

    path = tmp_path / "code.torchscript"
    torch.jit.script(Printing()).save(str(path))  # type: ignore[no-untyped-call]
    capfd.readouterr()
    torch.jit.load(str(path))  # type: ignore[no-untyped-call]
    assert "payload runs" in capfd.readouterr().out, "the file is not what the test needs"
    for options in ({}, {"trust": False}):
        with pytest.raises(InputError, match=r"is code .* set model\.trust: true") as caught:
            load("torchscript", path, **options)
        assert caught.value.code == "CHECKPOINT_UNSAFE"
        assert "\n" not in caught.value.message
    monkeypatch.setattr(torch.jit, "load", lambda *_, **__: pytest.fail("it was loaded"))
    with pytest.raises(InputError):
        load("torchscript", path)
    assert capfd.readouterr().out == ""


def test_trust_is_true_or_false(files: Callable[[str], Path]) -> None:
    with pytest.raises(ConfigError) as caught:
        load("torchscript", files("detect"), trust="yes")
    assert caught.value.code == "OPTION_INVALID"


@pytest.mark.parametrize("share", [0.0, 0.5])
def test_empty_and_truncated_files(
    share: float, files: Callable[[str], Path], tmp_path: Path
) -> None:
    data = files("classify").read_bytes()
    path = tmp_path / "cut.torchscript"
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(InputError) as caught:
        trusted(path)
    assert caught.value.code == "CHECKPOINT_UNREADABLE"


def test_an_archive_that_is_something_else(tmp_path: Path) -> None:
    path = tmp_path / "other.torchscript"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a/readme.txt", "hello")
    with pytest.raises(InputError, match="not a TorchScript file") as caught:
        trusted(path)
    assert caught.value.code == "CHECKPOINT_UNREADABLE"


def test_files_of_ultralytics_are_read(files: Callable[[str], Path], tmp_path: Path) -> None:
    """Ultralytics' exporter traces one batch and writes its properties into ``config.txt``."""
    path = tmp_path / "theirs.torchscript"
    extra = {"config.txt": ""}
    module = torch.jit.load(  # type: ignore[no-untyped-call]
        str(files("segment")), _extra_files=extra
    )
    properties = {**json.loads(extra["config.txt"]), "args": {"nms": False}}
    module.save(str(path), _extra_files={"config.txt": json.dumps(properties)})
    adapter = trusted(path)
    for found in differences(original("segment"), adapter, pictures()):
        assert found.reasons == (), found


def test_a_file_without_a_word_needs_the_architecture(tmp_path: Path) -> None:
    path = tmp_path / "silent.torchscript"
    model = save_timm(tmp_path / "m.pth", TIMM)
    traced = torch.jit.trace(  # type: ignore[no-untyped-call]
        model, torch.zeros(1, 3, 160, 160)
    )
    traced.save(str(path))
    with pytest.raises(InputError) as caught:
        trusted(path)
    assert caught.value.code == "ARCHITECTURE_MISSING"
    from snellen.adapters.exported.torchscript_adapter import TorchScriptAdapter

    spec = AdapterSpec("torchscript", str(path), architecture=TIMM, options={"trust": True})
    adapter = TorchScriptAdapter.from_spec(spec, device="cpu")
    for found in differences(load("timm", tmp_path / "m.pth"), adapter, pictures()):
        assert found.reasons == (), found
