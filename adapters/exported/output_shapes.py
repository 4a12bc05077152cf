"""Checks of an exported graph's output shapes against the task that the file claims."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from snellen.adapters.checkpoints.integrity import invalid
from snellen.adapters.errors import InputError

Shape = tuple[int, ...]


def class_count(shapes: Sequence[Shape], file: Path) -> int:
    """Return K of a classifier, whose one output has the shape (N, K).

    Raises:
        InputError: CHECKPOINT_INVALID for any other outputs.
    """
    if len(shapes) != 1 or len(shapes[0]) != 2:
        raise misfit(file, shapes, "one output (batch, classes)")
    return shapes[0][1]


def check_class_count(shapes: Sequence[Shape], expected: int, file: Path) -> None:
    """Check that a classifier has as many outputs as classes.

    Raises:
        InputError: CHECKPOINT_INVALID.
    """
    if class_count(shapes, file) != expected:
        raise misfit(file, shapes, f"(batch, {expected})")


def misfit(file: Path, shapes: Sequence[Shape], expected: str) -> InputError:
    """Return the error of outputs that are not those of the task."""
    return invalid(file, f"its outputs do not fit: expected {expected}; it has {list(shapes)}")
