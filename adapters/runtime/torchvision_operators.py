"""Operators of torchvision's C++ libraries, without an import of its Python package.

The package imports torch.compile with all that belongs to it, which takes 1.5 to 2 seconds in every
process that decodes an image or suppresses overlapping boxes.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from importlib.machinery import EXTENSION_SUFFIXES
from importlib.util import find_spec
from pathlib import Path
from typing import Any

Operator = Callable[..., Any]


@cache
def suppression() -> Operator:
    """Return ``torchvision.ops.nms``: boxes (N, 4) xyxy, scores (N,), IoU -> indices, int64.

    Raises:
        ImportError: torchvision is missing.
    """
    return _operator("_C", "torchvision", "nms")


@cache
def jpeg_decoding() -> Operator:
    """Return the operator of ``torchvision.io.decode_jpeg``.

    Its arguments are the bytes (uint8, (N,)), the number of an ``ImageReadMode``, and True to apply
    the EXIF orientation. It returns uint8 of shape (channels, height, width).

    Raises:
        ImportError: torchvision is missing, or has no such operator.
    """
    return _operator("image", "image", "decode_jpeg")


def _operator(library: str, namespace: str, name: str) -> Operator:
    import torch

    if "torchvision" not in sys.modules:
        for file in _library_files(library):
            with suppress(OSError):
                torch.ops.load_library(file)  # type: ignore[no-untyped-call]
    operators = getattr(torch.ops, namespace)
    if not hasattr(operators, name):
        import torchvision.io  # noqa: F401  (a version with other files registers them itself)
    if not hasattr(operators, name):
        raise ImportError(f"torchvision has no operator {namespace}::{name}", name="torchvision")
    found: Operator = getattr(operators, name)
    return found


def _library_files(library: str) -> list[Path]:
    """Return the files of a library, by the names that versions of torchvision give it."""
    spec = find_spec("torchvision")  # finds the folder and imports nothing
    folders = [] if spec is None else [Path(p) for p in spec.submodule_search_locations or ()]
    names = [name + end for name in (f"{library}_stable", library) for end in EXTENSION_SUFFIXES]
    return [folder / name for folder in folders for name in names if (folder / name).is_file()]
