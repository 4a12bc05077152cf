"""The images that decide a comparison: few images make most of the difference."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

Floats = npt.NDArray[np.float64]
_SHOWN = 10
SHARE = 0.6
"""Share of the difference that the deciding images make."""


@dataclass(frozen=True, eq=False)
class Deciding:
    """The smallest set of images whose contributions make 60 % of the net difference.

    Attributes:
        difference: sum of the contributions of all images.
        images: ``image_id``, ``index_a``, ``index_b``, ``contribution``, the largest first; empty
            if the contributions cancel out.
    """

    difference: float
    images: pl.DataFrame

    def to_json(self, metric: str, file: str | None, run_id: int) -> dict[str, Any]:
        """Return the entry of the document.

        Args:
            metric: the primary metric.
            file: the list of the images; None if it was not written.
            run_id: of the run B.

        Returns:
            ``metric``, ``share`` (of the difference that the images make), ``count``,
            ``images`` (the first ten), ``indices_file``, and ``command``, which lists them.
        """
        made = float(self.images["contribution"].sum())
        command = None if file is None else f"snellen images {run_id} --listed {shlex.quote(file)}"
        return {
            "metric": metric,
            "share": made / self.difference if len(self.images) else None,
            "count": len(self.images),
            "images": self.images.head(_SHOWN).to_dicts(),
            "indices_file": file,
            "command": command,
        }


def deciding_images(images: pl.DataFrame, contributions: Floats) -> Deciding:
    """Select the images that decide a difference.

    An image contributes to B - A: for accuracy (1 / n) if it is correct in B only, -(1 / n) if in A
    only; for AP see `snellen.metrics.comparison.contributions`. The images with the largest
    contributions in the direction of the difference are taken, equal ones in the order of the
    images, until they make `SHARE` of it.

    Args:
        images: the common images, with ``image_id``, ``index_a`` and ``index_b``.
        contributions: float64, (n,).
    """
    difference = float(contributions.sum())
    towards = contributions * np.sign(difference)
    order = np.argsort(-towards, kind="stable")
    reached = np.cumsum(towards[order])
    # Rounding must not add an image to a share that is reached exactly.
    wanted = SHARE * abs(difference) * (1 - 1e-9)
    count = int(np.searchsorted(reached, wanted)) + 1 if abs(difference) > _NOTHING else 0
    chosen = order[:count]
    listed = images.select("image_id", "index_a", "index_b")[chosen]
    return Deciding(
        difference, listed.with_columns(pl.Series("contribution", contributions[chosen]))
    )


_NOTHING = 1e-12
"""Differences below it are rounding errors."""
