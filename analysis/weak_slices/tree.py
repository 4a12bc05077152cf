"""Shallow trees that split images where a value differs most: candidates for weak slices.

For every value of the images (metadata, size, brightness, objects) the best split of all images is
found, and the best split of the side with the larger mean by any value: slices of one or two
conditions. A split is the better the more it lowers the sum of squares, as in a regression tree
(L. Breiman et al., Classification and Regression Trees, 1984). Numbers are split at their deciles,
texts into one value and all others.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from snellen.analysis.weak_slices.conditions import Condition

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
MAX_NAMES = 20
"""Maximum number of values of a text that are tried, the most frequent first."""
_QUANTILES = np.linspace(0.1, 0.9, 9)


@dataclass(frozen=True, eq=False)
class Features:
    """Values of n images that conditions can be about.

    Attributes:
        numbers: by name, float64, (n,); NaN for none.
        names: by name, text, (n,).
    """

    numbers: Mapping[str, Floats]
    names: Mapping[str, npt.NDArray[np.str_]]

    def splits(self, chosen: Bools) -> Iterator[tuple[Condition, Bools]]:
        """Yield the conditions that split some images, each with the images that meet it."""
        for name, values in self.numbers.items():
            known = values[chosen & np.isfinite(values)]
            if not len(known):
                continue
            limits = {f"{limit:.4g}" for limit in np.quantile(known, _QUANTILES)}
            for text in sorted(limits, key=float):
                with np.errstate(invalid="ignore"):
                    yield Condition(name, "<", text), values < float(text)
                    yield Condition(name, ">=", text), values >= float(text)
        for name, texts in self.names.items():
            values_of, counts = np.unique(texts[chosen], return_counts=True)
            for text in values_of[np.argsort(-counts, kind="stable")][:MAX_NAMES].tolist():
                same = texts == text
                yield Condition(name, "=", text), same
                if len(values_of) > 2:
                    yield Condition(name, "!=", text), ~same


@dataclass(frozen=True, eq=False)
class Slice:
    """Images that meet one or two conditions.

    Attributes:
        conditions: all of them hold.
        images: bool, (n,), the images.
    """

    conditions: tuple[Condition, ...]
    images: Bools


def candidate_slices(features: Features, values: Floats, used: Bools, smallest: int) -> list[Slice]:
    """Find slices of one or two conditions whose mean is above that of the other images.

    Args:
        features: of the images.
        values: float64, (n,), such as 1 for an incorrect image.
        used: bool, (n,), the images that the slices are chosen by.
        smallest: minimum number of used images in a slice, and outside of it.

    Returns:
        Slices in the order in which they were found, each set of images once.
    """
    found: list[Slice] = []
    everything = np.ones(len(values), np.bool_)
    for name in [*features.numbers, *features.names]:
        first = _best(Slice((), everything), _only(features, name), (values, used, smallest))
        if first is None:
            continue
        found.append(first)
        second = _best(first, features, (values, used, smallest))
        if second is not None:
            found.append(second)
    kept: list[Slice] = []
    for one in found:
        if not any(np.array_equal(one.images, other.images) for other in kept):
            kept.append(one)
    return kept


def _only(features: Features, name: str) -> Features:
    return Features(
        {key: value for key, value in features.numbers.items() if key == name},
        {key: value for key, value in features.names.items() if key == name},
    )


def _best(parent: Slice, features: Features, data: tuple[Floats, Bools, int]) -> Slice | None:
    """Return the part of a slice with the largest gain whose mean is above the rest of it."""
    values, used, smallest = data
    inside = parent.images & used
    total, count = float(values[inside].sum()), int(inside.sum())
    best, gain = None, 0.0
    taken = {condition.name for condition in parent.conditions}
    for condition, met in features.splits(inside):
        if condition.name in taken:
            continue
        part = inside & met
        size = int(part.sum())
        if size < smallest or count - size < smallest:
            continue
        part_sum = float(values[part].sum())
        difference = part_sum / size - (total - part_sum) / (count - size)
        found = size * (count - size) / count * difference * difference
        if difference > 0 and found > gain * (1 + 1e-9):
            gain = found
            best = Slice((*parent.conditions, condition), parent.images & met)
    return best
