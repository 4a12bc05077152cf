"""Confidence thresholds of an operating point: one for all classes, or one per class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from snellen.metrics.class_filter import choose_class
from snellen.metrics.matching.assignment import Ints
from snellen.metrics.matching.overlaps import Bools

DEFAULT_CONFIDENCE = 0.25
"""Threshold of a class that is given none."""
OTHER_CLASSES = "default"
"""Key of a mapping of thresholds: the threshold of all classes that it does not name."""


@dataclass(frozen=True, slots=True)
class Thresholds:
    """The minimum confidence at which a prediction of each class counts.

    Two objects are equal if every class has the same threshold in both.

    Attributes:
        default: threshold of the classes that `by_class` does not name.
        by_class: class ids, rising, with thresholds other than ``default``.

    Example:
        >>> thresholds = Thresholds.of({"default": 0.3, "dog": 0.5}, ["cat", "dog"])
        >>> thresholds.of_class(0), thresholds.of_class(1)
        (0.3, 0.5)
    """

    default: float = DEFAULT_CONFIDENCE
    by_class: tuple[tuple[int, float], ...] = ()

    @classmethod
    def of(
        cls,
        configured: float | Mapping[str, float],
        class_names: Sequence[str],
        *,
        where: str = "metrics.operating_confidence",
    ) -> Thresholds:
        """Read the thresholds of a configuration.

        Args:
            configured: a number for all classes; or a mapping of class names to numbers, where
                ``default`` stands for the other classes (0.25 without it).
            class_names: K names in the order of the ids.
            where: the setting, for messages.

        Raises:
            ConfigError: CLASS_UNKNOWN, with the nearest names; CLASS_SHARED.
        """
        if not isinstance(configured, Mapping):
            return cls(float(configured))
        default = float(configured.get(OTHER_CLASSES, DEFAULT_CONFIDENCE))
        named = {
            choose_class(name, class_names, where=where): float(value)
            for name, value in configured.items()
            if name != OTHER_CLASSES
        }
        other = sorted((number, value) for number, value in named.items() if value != default)
        return cls(default, tuple(other))

    def of_class(self, class_id: int) -> float:
        """Return the threshold of a class."""
        return dict(self.by_class).get(class_id, self.default)

    def reached(self, class_id: Ints, confidence: npt.NDArray[np.floating[Any]]) -> Bools:
        """Return True for each prediction that reaches the threshold of its class.

        Thresholds are rounded to float32, as result files store confidences.

        Args:
            class_id: int64, (n,).
            confidence: float32, (n,).
        """
        limits = np.full(len(class_id), self.default, dtype=np.float32)
        for number, value in self.by_class:
            limits[class_id == number] = value
        return np.asarray(confidence >= limits)

    def named(self, class_names: Sequence[str]) -> dict[str, float]:
        """Return the thresholds of `by_class` by class name."""
        return {class_names[number]: value for number, value in self.by_class}


ALL_CLASSES = Thresholds()
"""The default threshold for every class."""
