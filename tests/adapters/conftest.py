"""Fixtures of the adapters' tests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.adapters.exported.making import MODELS, export, load, original
from tests.adapters.making import save_timm

Files = Callable[[str], Path]


def exports(root: Path, ending: str) -> Files:
    """Exported files of small models by name, each made once."""

    def file(name: str) -> Path:
        path = root / f"{name}.{ending}"
        if not path.exists():
            if name in MODELS:
                export(original(name), path)
            else:
                save_timm(root / f"{name}.pth", name)
                export(load("timm", root / f"{name}.pth"), path)
        return path

    return file


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    """ONNX files."""
    return exports(tmp_path_factory.mktemp("onnx"), "onnx")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small timm model."""
    path = tmp_path_factory.mktemp("timm") / "model.pth"
    save_timm(path)
    return path
