"""Which adapter a file is for, where the file alone tells."""

from __future__ import annotations

import zipfile
from pathlib import Path

ENDINGS: dict[str, str] = {".onnx": "onnx", ".torchscript": "torchscript"}
"""Exported models; the ending is also the name of the format."""
_ULTRALYTICS = b"ultralytics.nn.tasks"
_LOOKED_AT = 2**20


def adapter_of_file(path: str | Path) -> str | None:
    """The adapter of a checkpoint file: by its ending, or by what an Ultralytics model is made of.

    Nothing of the file is run; None where it does not tell.
    """
    file = Path(path)
    found = ENDINGS.get(file.suffix.lower())
    if found is None and file.suffix == ".pt" and _ULTRALYTICS in _pickle(file):
        return "ultralytics"
    return found


def _pickle(file: Path) -> bytes:
    """The beginning of the pickle of a ``torch.save`` file."""
    try:
        with zipfile.ZipFile(file) as archive:
            names = [name for name in archive.namelist() if name.endswith("data.pkl")]
            if not names:
                return b""
            with archive.open(names[0]) as member:
                return member.read(_LOOKED_AT)
    except (zipfile.BadZipFile, OSError, ValueError, RuntimeError, NotImplementedError):
        pass
    try:
        with file.open("rb") as stream:
            return stream.read(_LOOKED_AT)
    except OSError:
        return b""
