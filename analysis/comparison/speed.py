"""The speed of two runs: inference time per image, and whether the two can be compared."""

from __future__ import annotations

from typing import Any

import numpy as np

from snellen.analysis.comparison.pairing import Pair, Side

_SAME = ("device", "precision", "batch_size")


def speed_rows(pair: Pair) -> dict[str, Any]:
    """Describe the inference time of both runs on all of their scored images.

    Returns:
        ``a`` and ``b``: ``device``, ``precision``, ``batch_size``, ``images``, ``median_ms``,
        ``p95_ms`` and ``images_per_second`` (1000 / mean ms: the rate of one worker, without
        reading and decoding); and ``comparable``, with the ``reason`` if it is False.
    """
    a, b = (_speed(side) for side in pair.sides)
    different = [key for key in _SAME if a[key] != b[key]]
    unknown = [key for key in _SAME if a[key] is None or b[key] is None]
    reason = None
    if different:
        reason = "another " + ", ".join(f"{key} ({a[key]} and {b[key]})" for key in different)
    elif unknown:
        reason = f"unknown {', '.join(unknown)}"
    return {"a": a, "b": b, "comparable": reason is None, "reason": reason}


def _speed(side: Side) -> dict[str, Any]:
    resolved = {} if side.run.is_imported else side.run.resolved or {}
    times = side.results.frame(["inference_time_ms"])["inference_time_ms"].drop_nulls().to_numpy()
    known = len(times) > 0
    mean = float(times.mean(dtype=np.float64)) if known else 0.0
    return {
        **{key: resolved.get(key) for key in _SAME},
        "images": len(times),
        "median_ms": float(np.median(times)) if known else None,
        "p95_ms": float(np.percentile(times, 95)) if known else None,
        "images_per_second": 1000 / mean if mean > 0 else None,
    }
