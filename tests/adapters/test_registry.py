"""Finding an adapter by its name."""

from __future__ import annotations

import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

import snellen.adapters.registry
from snellen.adapters.errors import ConfigError, SnellenError
from snellen.adapters.noop import NoopAdapter
from snellen.adapters.registry import ENTRY_POINTS, adapter_names, load_adapter_class


def refused(name: str) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        load_adapter_class(name)
    return caught.value


def test_every_registered_adapter_loads_and_calls_itself_so() -> None:
    for name in snellen.adapters.registry.ADAPTERS:
        assert load_adapter_class(name).framework == name


def test_a_class_of_a_module_is_accepted() -> None:
    assert load_adapter_class("snellen.adapters.noop:NoopAdapter") is NoopAdapter


def test_an_entry_point_adds_a_name_but_replaces_none(monkeypatch: pytest.MonkeyPatch) -> None:
    points = [
        EntryPoint("mine", "snellen.adapters.noop:NoopAdapter", ENTRY_POINTS),
        EntryPoint("timm", "elsewhere:Evil", ENTRY_POINTS),
    ]
    monkeypatch.setattr(snellen.adapters.registry, "entry_points", lambda group: points)
    assert load_adapter_class("mine") is NoopAdapter
    assert adapter_names()["timm"] == "snellen.adapters.timm.adapter:TimmAdapter"


def test_an_unknown_name_lists_the_choices_and_the_nearest() -> None:
    error = refused("tim")
    assert error.code == "ADAPTER_UNKNOWN"
    assert "expected one of noop, onnx, timm" in error.message
    assert "did you mean timm?" in error.message


@pytest.mark.parametrize("name", ["nowhere_at_all:X", "https://host/x.py:Y", "adapters:"])
def test_what_cannot_be_imported_is_refused(name: str) -> None:
    with pytest.raises(SnellenError) as caught:
        load_adapter_class(name)
    assert caught.value.code in ("ADAPTER_UNKNOWN", "REMOTE_REFUSED", "ADAPTER_INVALID")


@pytest.mark.parametrize(
    "name", ["snellen.adapters.types:TaskType", "snellen.adapters.base:nothing"]
)
def test_what_is_no_adapter_is_refused(name: str) -> None:
    assert refused(name).code == "ADAPTER_INVALID"


def test_a_missing_library_says_what_installs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "needs_onnx.py").write_text("import onnxruntime\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    error = refused("needs_onnx:A")
    assert error.code == "ADAPTER_MISSING_LIBRARY"
    assert "snellen[onnx]" in error.message
