"""Sums of floating-point numbers that do not depend on the partition of the numbers."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, slots=True)
class Sum:
    """A sum as an unevaluated pair ``high + low`` of doubles (about 106 bits).

    `math.fsum` rounds an exact sum once; summing again with that result subtracted gives what
    the rounding lost. So the error of any partition is far below the last bit of `value`.

    Example:
        >>> parts = [Sum.of(np.array([1e16, 1.0])), Sum.of(np.array([-1e16]))]
        >>> Sum.merged(parts).value
        1.0
    """

    high: float = 0.0
    low: float = 0.0

    @classmethod
    def of(cls, values: npt.NDArray[np.floating[Any]]) -> Sum:
        """Sum finite numbers of any shape, in double precision."""
        numbers = values.astype(np.float64).ravel().tolist()
        high = math.fsum(numbers)
        return cls(high, math.fsum([*numbers, -high]))

    @classmethod
    def merged(cls, parts: Iterable[Sum]) -> Sum:
        """Add the sums of parts."""
        numbers = [number for part in parts for number in (part.high, part.low)]
        high = math.fsum(numbers)
        return cls(high, math.fsum([*numbers, -high]))

    @property
    def value(self) -> float:
        """The sum as one double."""
        return self.high + self.low
