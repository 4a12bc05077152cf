"""Comparison of an exported file's outputs with its model's, number by number."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from snellen.adapters.exported.adapter import ExportedAdapter
from snellen.adapters.exported.writer import Exportable
from snellen.adapters.types import Preprocessed

if TYPE_CHECKING:
    from torch import Tensor

TOLERANCE = 1e-3
"""Absolute and relative: boxes are in pixels of the input, logits have no unit."""


def outputs_apart(
    exportable: Exportable, exported: ExportedAdapter, items: Sequence[Preprocessed]
) -> float:
    """Return the largest difference between the outputs for one batch, in units of `TOLERANCE`.

    The rows of an end-to-end head are sorted by confidence, and rounding may change their order;
    so only their confidences are compared.

    Args:
        exportable: the model as it was exported.
        exported: the file, loaded on the CPU.
        items: the prepared batch.

    Returns:
        At most 1 if the outputs are equal; infinity for other shapes or NaN.
    """
    import torch

    batch = torch.from_numpy(np.stack([item.array for item in items]))
    with torch.inference_mode():
        pixels = exported.normalised(batch)
        expected = exportable.module(pixels)
        found = exported.run_batches(pixels)
    wanted = list(expected) if isinstance(expected, tuple | list) else [expected]
    if exportable.model.end2end:
        wanted[0], found[0] = (outputs[0][..., 4] for outputs in (wanted, found))
    return max(_apart(one, other) for one, other in zip(wanted, found, strict=True))


def _apart(expected: Tensor, found: Tensor) -> float:
    if expected.shape != found.shape:
        return float("inf")
    apart = (expected - found).abs() / (TOLERANCE * (1 + expected.abs()))
    return float(apart.nan_to_num(nan=float("inf")).max())
