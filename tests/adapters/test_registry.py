"""Look-up of adapters by name and by file."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

import snellen.adapters.plugins
from snellen.adapters.errors import ConfigError, SnellenError
from snellen.adapters.noop import NoopAdapter
from snellen.adapters.registry import ADAPTERS, adapter_for_file, load_adapter_class
from snellen.adapters.types import TaskType
from tests.adapters.making import save_timm
from tests.adapters.ultralytics.making import FIXTURES


def rejected(name: str) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        load_adapter_class(name)
    return caught.value


def test_every_registered_adapter_loads_and_calls_itself_so() -> None:
    for name, adapter in ADAPTERS:
        assert adapter.framework == name
        assert adapter.tasks <= frozenset(TaskType)


def test_a_class_of_a_module_is_accepted() -> None:
    assert load_adapter_class("snellen.adapters.noop:NoopAdapter") is NoopAdapter


@pytest.fixture
def entry_points(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[EntryPoint]]:
    """Entry points of imaginary packages; append to the list before the first look-up."""
    points: list[EntryPoint] = []
    monkeypatch.setattr(snellen.adapters.plugins, "entry_points", lambda group: points)
    snellen.adapters.plugins._installed.cache_clear()
    yield points
    snellen.adapters.plugins._installed.cache_clear()


def test_an_entry_point_adds_a_name_but_replaces_none(entry_points: list[EntryPoint]) -> None:
    entry_points += [
        EntryPoint("mine", "snellen.adapters.noop:NoopAdapter", "snellen.adapters"),
        EntryPoint("timm", "elsewhere:Evil", "snellen.adapters"),
    ]
    assert load_adapter_class("mine") is NoopAdapter
    assert ADAPTERS.targets()["timm"] == "snellen.adapters.timm.adapter:TimmAdapter"
    assert load_adapter_class("timm").framework == "timm"


def test_a_broken_package_breaks_no_search(
    entry_points: list[EntryPoint], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "of_mine.py").write_text(
        "from snellen.adapters.noop import NoopAdapter\n"
        "class Mine(NoopAdapter):\n"
        "    @classmethod\n"
        "    def recognises(cls, path):\n"
        "        return path.suffix == '.mine'\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    entry_points += [
        EntryPoint("broken", "nowhere_at_all:Adapter", "snellen.adapters"),
        EntryPoint("mine", "of_mine:Mine", "snellen.adapters"),
    ]
    assert adapter_for_file("model.mine") == "mine"
    assert adapter_for_file("model.onnx") == "onnx"
    assert adapter_for_file("model.pth") is None


def test_an_unknown_name_lists_the_choices_and_the_nearest() -> None:
    error = rejected("tim")
    assert error.code == "ADAPTER_UNKNOWN"
    assert "adapter 'tim' is unknown. Expected one of noop, onnx, timm" in error.message
    assert "did you mean timm?" in error.message


def test_files_that_say_which_adapter_they_are_for(tmp_path: Path) -> None:
    assert adapter_for_file("model.onnx") == "onnx"
    assert adapter_for_file(tmp_path / "MODEL.ONNX") == "onnx"
    assert adapter_for_file("model.torchscript") == "torchscript"
    assert adapter_for_file(FIXTURES / "tiny-detect.pt") == "ultralytics"
    save_timm(tmp_path / "weights.pt")
    assert adapter_for_file(tmp_path / "weights.pt") is None
    assert adapter_for_file(FIXTURES / "README.md") is None


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04 cut", b"\x80\x02 a pickle", b"text"])
def test_no_adapter_recognises_a_damaged_file(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "file.pt"
    path.write_bytes(data)
    assert adapter_for_file(path) is None
    assert adapter_for_file(tmp_path / "none.pt") is None


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("nowhere_at_all:X", "ADAPTER_UNKNOWN"),
        ("https://host/x.py:Y", "REMOTE_REFUSED"),
        ("adapters:", "REMOTE_REFUSED"),
        ("1x:y", "ADAPTER_INVALID"),
    ],
)
def test_what_cannot_be_imported_is_rejected(name: str, code: str) -> None:
    with pytest.raises(SnellenError) as caught:
        load_adapter_class(name)
    assert caught.value.code == code


@pytest.mark.parametrize(
    "name", ["snellen.adapters.types:TaskType", "snellen.adapters.base:nothing"]
)
def test_what_is_no_adapter_is_rejected(name: str) -> None:
    assert rejected(name).code == "ADAPTER_INVALID"


def test_a_missing_library_says_what_installs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "needs_onnx.py").write_text("import onnxruntime\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    error = rejected("needs_onnx:A")
    assert error.code == "ADAPTER_MISSING_LIBRARY"
    assert "snellen[onnx]" in error.message
