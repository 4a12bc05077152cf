"""Units that are drawn with replacement: images, groups of dependent images, or blocks of them."""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
BLOCKS = 200
"""Number of blocks of a large set."""
OWN_BLOCK_UP_TO = 400
"""Number of groups up to which each group is a block of its own."""
DRAWS = 1000
RESAMPLES = 200
"""Default number of draws for the intervals of a single run."""
NO_WIDTH = 1e-12
"""Half widths below it are rounding errors of equal draws."""


@dataclass(frozen=True, slots=True)
class Sampling:
    """The settings of a bootstrap.

    Attributes:
        resamples: number of draws; 0 or 1 for no intervals.
        level: confidence level of the intervals, two-sided.
        seed: of the draws: the same set and seed give the same intervals.
    """

    resamples: int
    level: float
    seed: int


@dataclass(frozen=True, eq=False)
class Blocks:
    """An assignment of images to blocks, which are drawn with replacement.

    Attributes:
        of_image: int64, (n,), the block of each image, from 0.
        count: number of blocks, B.
        groups: number of groups of dependent images, G; without groups the number of images.
    """

    of_image: Ints
    count: int
    groups: int

    def sums(self, values: Floats) -> Floats:
        """Sum a value per image by block: (B,)."""
        return np.bincount(self.of_image, values, self.count).astype(np.float64)

    def weights(self, draws: int = DRAWS, seed: int = 0) -> npt.NDArray[np.float32]:
        """Return how often each block is drawn: float32, (R, B)."""
        random = np.random.default_rng(seed)
        chances = np.full(self.count, 1 / self.count)
        return random.multinomial(self.count, chances, draws).astype(np.float32)

    def each_draw(self, draws: int, seed: int) -> Iterator[Floats]:
        """Yield how often each block is drawn, one draw at a time: float64, (B,)."""
        random = np.random.default_rng(seed)
        for _ in range(draws):
            drawn = random.integers(0, self.count, self.count)
            yield np.bincount(drawn, minlength=self.count).astype(np.float64)

    def half_width(self, draws: Floats, level: float) -> float | None:
        """Compute t * s: half of the width of the interval of a statistic.

        Args:
            draws: float64, (R,), the statistic in each draw; undefined ones are ignored.
            level: two-sided.

        Returns:
            None if fewer than two draws are defined or there is one block.
        """
        return student_half_width(draws, self.count, level)


def student_half_width(draws: Floats, units: int, level: float) -> float | None:
    """Compute t * s with Student's quantile t at G - 1 degrees of freedom for G units.

    s is the standard deviation of the draws times sqrt(G / (G - 1)): the draws of a mean vary by
    the variance of the units with the denominator G, not G - 1. So the interval of a mean is
    that of the t test.

    Args:
        draws: float64, (R,), a statistic in each draw; undefined ones are ignored.
        units: number of units that were drawn, G.
        level: two-sided.

    Returns:
        None if fewer than two draws are defined or there is one unit.

    Example:
        >>> round(student_half_width(np.array([0.1, 0.2, 0.3]), 10, 0.95), 4)
        0.2385
    """
    known = draws[np.isfinite(draws)]
    if len(known) < 2 or units < 2:
        return None
    spread = float(known.std(ddof=1)) * math.sqrt(units / (units - 1))
    return student_quantile(level, units - 1) * spread


@cache
def student_quantile(level: float, degrees: int) -> float:
    """Return the two-sided quantile of Student's distribution.

    Example:
        >>> round(student_quantile(0.95, 9), 4)
        2.2622
    """
    from scipy.special import stdtrit

    return float(stdtrit(degrees, 0.5 + level / 2))


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


def blocks_of_keys(keys: npt.NDArray[np.uint64]) -> Blocks:
    """Assign whole groups to blocks by the hashes of their keys; see `blocks_of`.

    Args:
        keys: uint64, (n,), of `snellen.metrics.statistics.groups.group_keys`; at least one.

    Example:
        >>> blocks_of_keys(np.array([7, 5, 7], np.uint64)).of_image.tolist()
        [1, 0, 1]
    """
    known, place = np.unique(keys, return_inverse=True)
    if len(known) <= OWN_BLOCK_UP_TO:
        return Blocks(place.astype(np.int64), len(known), len(known))
    return Blocks((known % np.uint64(BLOCKS)).astype(np.int64)[place], BLOCKS, len(known))


def blocks_of_images(images: int, seed: int | None = None) -> Blocks:
    """Make every image a block of its own, or assign images to 200 blocks at random.

    Args:
        images: number of images, above 0.
        seed: of the assignment, so that it does not follow the order of the images; None makes
            every image a block.

    Example:
        >>> blocks_of_images(3).of_image.tolist(), blocks_of_images(1000, seed=0).count
        ([0, 1, 2], 200)
    """
    if seed is None:
        return Blocks(np.arange(images), images, images)
    count = min(BLOCKS, images)
    return Blocks(np.random.default_rng(seed).permutation(images) % count, count, images)
