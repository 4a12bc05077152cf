"""Numbers for JSON and SQL, which have no NaN and no infinities."""

from __future__ import annotations

import math


def finite_or_none(value: float) -> float | None:
    """Return a finite number unchanged, and None for NaN and infinities.

    Example:
        >>> [finite_or_none(value) for value in (0.5, float("nan"), float("inf"))]
        [0.5, None, None]
    """
    return value if math.isfinite(value) else None
