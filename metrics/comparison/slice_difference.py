"""The difference between the mean of a slice and that of the other images."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from snellen.metrics.comparison.verdict import Difference
from snellen.metrics.statistics.draws import NO_WIDTH, Blocks, student_quantile

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


def slice_difference(
    values: Floats, inside: Bools, blocks: Blocks, *, against_rest: bool = True, level: float = 0.95
) -> Difference | None:
    """Compare the mean of a slice with that of the other images, or with 0.

    The standard error is that of clusters: s^2 = G / (G - 1) sum over groups g of u_g^2, where u_g
    sums the residuals of the group's images, divided by the number of images in the slice, minus
    those outside of it. With every image as a group and equal numbers it is that of Welch's test.
    The interval and the test are Student's at G - 1 degrees of freedom. Source: K.-Y. Liang and
    S. L. Zeger, Biometrika 73 (1986). Without any variation within slice and rest, p is that of
    Fisher's exact test of their groups, or of the exact sign test.

    Args:
        values: float64, (n,).
        inside: bool, (n,), the images of the slice.
        blocks: the groups of the images, each a block.
        against_rest: False compares with 0.
        level: of the interval.

    Returns:
        None for an empty slice or rest, or fewer than two groups.

    Example:
        >>> from snellen.metrics.statistics.draws import blocks_of_images
        >>> values = np.array([1.0, 1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0])
        >>> found = slice_difference(values, np.arange(8) < 4, blocks_of_images(8))
        >>> round(found.value, 3), round(found.p, 3)
        (0.5, 0.17)
    """
    from scipy.stats import t

    groups = blocks.count
    if groups < 2 or not inside.any() or (against_rest and inside.all()):
        return None
    mean = float(values[inside].mean())
    residuals = np.where(inside, (values - mean) / inside.sum(), 0.0)
    difference = mean
    if against_rest:
        rest = float(values[~inside].mean())
        residuals = np.where(inside, residuals, -(values - rest) / (~inside).sum())
        difference = mean - rest
    spread = float(np.sqrt(groups / (groups - 1) * np.square(blocks.sums(residuals)).sum()))
    half = student_quantile(level, groups - 1) * spread
    if spread < NO_WIDTH:
        p = _exact(difference, inside, blocks, against_rest)
    else:
        p = float(2 * t.sf(abs(difference) / spread, groups - 1))
    return Difference(difference, difference - half, difference + half, p)


def _exact(difference: float, inside: Bools, blocks: Blocks, against_rest: bool) -> float:
    if difference == 0:
        return 1.0
    from scipy.stats import binomtest, fisher_exact

    within, without = (
        int((blocks.sums(part.astype(np.float64)) > 0).sum()) for part in (inside, ~inside)
    )
    if not against_rest:
        return float(binomtest(within, within, 0.5).pvalue)
    return float(fisher_exact([[within, 0], [0, without]]).pvalue)
