"""Bootstrap intervals of proportions whose images are dependent within groups."""

from __future__ import annotations

import numpy as np

from snellen.metrics.statistics.draws import NO_WIDTH, Blocks, Floats, Sampling, blocks_of_keys
from snellen.metrics.statistics.groups import Keys
from snellen.metrics.statistics.intervals import wilson

Interval = list[float] | None


def proportion_interval(
    value: float, drawn: Floats, blocks: Blocks, *, units: int, level: float
) -> Interval:
    """Compute the interval of a proportion from its draws: value +- t * s, within [0, 1].

    A proportion that does not vary between draws, such as 1, has Wilson's interval over the
    blocks that it depends on: it would have no width otherwise.

    Args:
        value: in the set itself; NaN where it is not defined.
        drawn: float64, (R,), in each draw; undefined ones are ignored.
        blocks: that were drawn.
        units: number of blocks that the proportion depends on.
        level: two-sided.

    Returns:
        [low, high]; None where the proportion is not defined.
    """
    if not np.isfinite(value):
        return None
    half = blocks.half_width(drawn, level)
    if half is None or half < NO_WIDTH:
        return wilson(value * units, units, level)
    return [max(0.0, value - half), min(1.0, value + half)]


def grouped_proportion(hits: Floats, trials: Floats, keys: Keys, sampling: Sampling) -> Interval:
    """Compute the interval of sum(hits) / sum(trials) from draws of whole groups.

    Args:
        hits: float64, (n,), per image.
        trials: float64, (n,), per image.
        keys: uint64, (n,), the groups, of `snellen.metrics.statistics.groups.group_keys`.
        sampling: number, seed and level of the draws.

    Returns:
        [low, high]; None without draws, images or trials.

    Example:
        >>> keys = np.array([1, 1, 2, 2, 3, 3], np.uint64)
        >>> hits = np.array([1, 1, 1, 1, 0, 1], np.float64)
        >>> found = grouped_proportion(hits, np.ones(6), keys, Sampling(200, 0.95, seed=0))
        >>> [round(limit, 2) for limit in found]
        [0.12, 1.0]
    """
    if sampling.resamples < 2 or not len(keys) or not trials.sum():
        return None
    blocks = blocks_of_keys(keys)
    weights = np.stack(list(blocks.each_draw(sampling.resamples, sampling.seed)))
    by_block = blocks.sums(trials)
    with np.errstate(invalid="ignore", divide="ignore"):
        drawn = (weights @ blocks.sums(hits)) / (weights @ by_block)
    return proportion_interval(
        float(hits.sum() / trials.sum()),
        drawn,
        blocks,
        units=int((by_block > 0).sum()),
        level=sampling.level,
    )
