"""Whether an exported file computes what its model computes, number by number."""

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
"""Absolute, and of a number's size: boxes are in pixels of the input, logits have no unit."""


def outputs_apart(
    exportable: Exportable, exported: ExportedAdapter, items: Sequence[Preprocessed]
) -> float:
    """The largest difference of the outputs of one batch, in units of `TOLERANCE`.

    The rows of an end-to-end head are in the order of their confidence, which noise changes; of
    those the confidences alone are compared.

    Args:
        exportable: the model as it was exported.
        exported: the file, loaded on the CPU.
        items: the batch, prepared.
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
