"""Fixtures of the adapters' tests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.adapters.exported.making import MODELS, export, load, original
from tests.adapters.making import save_timm


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """ONNX files of small models by name, each made once for a module."""
    root = tmp_path_factory.mktemp("onnx")

    def file(name: str) -> Path:
        path = root / f"{name}.onnx"
        if not path.exists():
            if name in MODELS:
                export(original(name), path)
            else:
                save_timm(root / f"{name}.pth", name)
                export(load("timm", root / f"{name}.pth"), path)
        return path

    return file
