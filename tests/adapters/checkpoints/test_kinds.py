"""What a file alone tells about the adapter that it is for."""

from __future__ import annotations

from pathlib import Path

import pytest

from snellen.adapters.checkpoints.kinds import adapter_of_file
from tests.adapters.exported.making import FIXTURES
from tests.adapters.making import save_timm


def test_endings_and_ultralytics_checkpoints(tmp_path: Path) -> None:
    assert adapter_of_file("model.onnx") == "onnx"
    assert adapter_of_file(tmp_path / "MODEL.ONNX") == "onnx"
    assert adapter_of_file("model.torchscript") == "torchscript"
    assert adapter_of_file(FIXTURES / "tiny-detect.pt") == "ultralytics"
    save_timm(tmp_path / "weights.pt")
    assert adapter_of_file(tmp_path / "weights.pt") is None
    assert adapter_of_file(FIXTURES / "README.md") is None


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04 cut", b"\x80\x02 a pickle", b"text"])
def test_damaged_files_tell_nothing(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "file.pt"
    path.write_bytes(data)
    assert adapter_of_file(path) is None
    assert adapter_of_file(tmp_path / "none.pt") is None
