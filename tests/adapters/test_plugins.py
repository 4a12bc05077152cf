"""Registries of plugins of any kind, and suggestions for mistyped names."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

import snellen.adapters.plugins
from snellen.adapters.errors import ConfigError
from snellen.adapters.plugins import PluginCodes, Registry, closest, missing_library, nearest


def checked(loaded: object) -> type[str]:
    if not (isinstance(loaded, type) and issubclass(loaded, str)):
        raise TypeError("it is not a subclass of str")
    return loaded


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> Registry[type[str]]:
    """Registry of subclasses of ``str``, with one installed package."""
    points = {
        "snellen.texts": [
            EntryPoint("status", "snellen.adapters.types:ImageStatus", "snellen.texts"),
            EntryPoint("task", "nowhere:Evil", "snellen.texts"),
            EntryPoint("broken", "nowhere:Text", "snellen.texts"),
        ]
    }
    monkeypatch.setattr(snellen.adapters.plugins, "entry_points", lambda group: points[group])
    snellen.adapters.plugins._installed.cache_clear()
    monkeypatch.setattr(
        snellen.adapters.plugins, "_installed", snellen.adapters.plugins._installed.__wrapped__
    )
    return Registry(
        kind="texts",
        what="text",
        builtin={"task": "snellen.adapters.types:TaskType", "wrong": "math:pi"},
        codes=PluginCodes("TEXT_UNKNOWN", "TEXT_INVALID", "TEXT_MISSING_LIBRARY"),
        check=checked,
    )


def test_names_come_from_the_package_and_from_entry_points(registry: Registry[type[str]]) -> None:
    assert list(registry.targets()) == ["task", "wrong", "status", "broken"]
    assert registry.load("task").__name__ == "TaskType"
    assert registry.load("status").__name__ == "ImageStatus"
    assert registry.load("snellen.adapters.errors:ErrorCode").__name__ == "ErrorCode"


@pytest.mark.parametrize(
    ("name", "code", "message"),
    [
        ("tsk", "TEXT_UNKNOWN", "text 'tsk' is unknown. Expected one of broken, status, task, "
                                "wrong, or module:attribute of an installed package; did you mean "
                                "task?"),
        ("zzz", "TEXT_UNKNOWN", "or module:attribute of an installed package."),
        ("broken", "TEXT_UNKNOWN", "text 'broken': there is no module 'nowhere'"),
        ("wrong", "TEXT_INVALID", "text 'wrong' (math:pi): it is not a subclass of str"),
        ("math:pi", "TEXT_INVALID", "text 'math:pi': it is not a subclass of str"),
        ("math:tau_", "TEXT_INVALID", "has no attribute 'tau_'"),
        ("a b:c", "TEXT_INVALID", "text 'a b:c': expected the form module:attribute"),
    ],
)  # fmt: skip
def test_errors_of_every_kind_have_the_same_form(
    registry: Registry[type[str]], name: str, code: str, message: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        registry.load(name)
    assert caught.value.code == code
    assert caught.value.message.endswith(message)


def test_a_missing_library_says_what_installs_it(
    registry: Registry[type[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "needs_much.py").write_text("import no_such_library.part\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ConfigError, match="pip install no_such_library") as caught:
        registry.load("needs_much:Text")
    assert caught.value.code == "TEXT_MISSING_LIBRARY"
    assert "snellen[onnx]" in missing_library("the adapter onnx", "onnxruntime").message


def test_a_search_skips_broken_packages_but_no_plugin_of_ours(
    registry: Registry[type[str]],
) -> None:
    found = iter(registry)
    assert next(found)[0] == "task"
    with pytest.raises(ConfigError):
        next(found)
    fine = Registry("texts", "text", {"task": registry.builtin["task"]}, registry.codes, checked)
    assert [name for name, _ in fine] == ["task", "status"]


@pytest.mark.parametrize(
    ("suggest", "name", "expected"),
    [
        (nearest, "tim", "; did you mean timm?"),
        (nearest, "qqq", ""),
        (closest, "tim", ["timm"]),
        (closest, "qqq", []),
    ],
)
def test_suggestions(suggest: Callable[..., object], name: str, expected: object) -> None:
    assert suggest(name, ["timm", "onnx", "noop"]) == expected
