"""The brightness of a decoded image, by which slices of a run can be made."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

_GRID = 64
"""Number of rows and columns of pixels that are read at most."""
_LUMA = np.array([0.299, 0.587, 0.114], np.float64)
"""Weights of red, green and blue (ITU-R BT.601)."""


def mean_luma(pixels: npt.NDArray[np.uint8]) -> float:
    """Compute the mean luma of an image on an even grid of at most 64 x 64 pixels.

    Args:
        pixels: uint8, shape (H, W, 3), RGB.

    Returns:
        0 (black) to 1 (white), with four digits.

    Example:
        >>> mean_luma(np.full((100, 200, 3), 51, np.uint8))
        0.2
    """
    height, width = pixels.shape[:2]
    grid = pixels[:: -(-height // _GRID), :: -(-width // _GRID)]
    means = grid.reshape(-1, 3).mean(axis=0, dtype=np.float64)
    return round(float(means @ _LUMA) / 255, 4)
