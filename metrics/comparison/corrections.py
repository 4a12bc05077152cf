"""Corrections of p-values for the number of tests."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def benjamini_hochberg(p_values: Sequence[float]) -> list[float]:
    """Return q-values: the false discovery rate at which each test is still significant.

    Source: Y. Benjamini and Y. Hochberg, JRSS B 57 (1995).

    Example:
        >>> benjamini_hochberg([0.01, 0.02, 0.5])
        [0.03, 0.03, 0.5]
    """
    if not p_values:
        return []
    p = np.asarray(p_values, np.float64)
    order = np.argsort(p)[::-1]
    scaled = p[order] * len(p) / np.arange(len(p), 0, -1)
    result = np.empty(len(p))
    result[order] = np.minimum(np.minimum.accumulate(scaled), 1.0)
    return [float(value) for value in result]


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values that hold the family-wise error rate.

    Source: S. Holm, Scandinavian Journal of Statistics 6 (1979).

    Example:
        >>> holm([0.01, 0.02, 0.5])
        [0.03, 0.04, 0.5]
    """
    if not p_values:
        return []
    p = np.asarray(p_values, np.float64)
    order = np.argsort(p)
    scaled = p[order] * np.arange(len(p), 0, -1)
    result = np.empty(len(p))
    result[order] = np.minimum(np.maximum.accumulate(scaled), 1.0)
    return [float(value) for value in result]
