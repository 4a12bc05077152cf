"""Blocks of images that are drawn together, and the weights of the draws."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
BLOCKS = 200
"""Number of blocks of a large set."""
OWN_BLOCK_UP_TO = 400
"""Number of groups up to which each group is a block of its own."""
DRAWS = 1000


@dataclass(frozen=True, eq=False)
class Blocks:
    """An assignment of images to blocks.

    Attributes:
        of_image: int64, (n,), the block of each image, from 0.
        count: number of blocks, B.
        groups: number of groups of dependent images, G; without groups the number of images.
    """

    of_image: Ints
    count: int
    groups: int

    def sums(self, values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Sum a value per image by block: (B,)."""
        return np.bincount(self.of_image, values, self.count).astype(np.float64)

    def weights(self, draws: int = DRAWS, seed: int = 0) -> npt.NDArray[np.float32]:
        """Return how often each block is drawn: float32, (R, B)."""
        random = np.random.default_rng(seed)
        chances = np.full(self.count, 1 / self.count)
        return random.multinomial(self.count, chances, draws).astype(np.float32)


def blocks_of(groups: Sequence[str]) -> Blocks:
    """Assign whole groups to blocks.

    Up to 400 groups are a block each. More are put into 200 blocks by a hash of their key, so that
    the assignment is the same for every run of the images.

    Args:
        groups: the key of the group of each image, (n,); without groups the id of the image.

    Raises:
        ValueError: no images.

    Example:
        >>> found = blocks_of(["a", "b", "a"])
        >>> found.of_image.tolist(), found.count, found.groups
        ([0, 1, 0], 2, 2)
    """
    if not groups:
        raise ValueError("no images. Expected at least one.")
    keys, place = np.unique(np.asarray(groups, dtype=object).astype(str), return_inverse=True)
    if len(keys) <= OWN_BLOCK_UP_TO:
        return Blocks(place.astype(np.int64), len(keys), len(keys))
    hashed = np.array([zlib.crc32(key.encode()) % BLOCKS for key in keys], np.int64)
    return Blocks(hashed[place], BLOCKS, len(keys))
