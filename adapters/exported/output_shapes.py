"""Checks of an exported graph's output shapes against the task that the file claims."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from pathlib import Path

from snellen.adapters.checkpoints.integrity import invalid
from snellen.adapters.errors import InputError

Shape = tuple[int, ...]


def class_count(shapes: Sequence[Shape], file: Path) -> int:
    """Return K of a classifier, whose one output has the shape (N, K).

    Further axes of one element are accepted: (N, 1, 1, K) and (N, K, 1, 1).

    Raises:
        InputError: CHECKPOINT_INVALID for any other outputs.
    """
    if len(shapes) > 1:
        raise invalid(
            file,
            f"it has {len(shapes)} outputs, of the shapes {list(shapes)}. Expected one output "
            "(batch, classes). Export the model with the scores of the classes as its only output.",
        )
    if not shapes or len(shapes[0]) < 2 or prod(shapes[0][1:]) != max(shapes[0][1:]):
        raise misfit(file, shapes, "one output (batch, classes)")
    return max(shapes[0][1:])


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
