"""The summary of many images' differences: totals, the largest ones, and the worst images."""

from __future__ import annotations

import heapq
from collections import Counter
from typing import Any

from snellen.metrics.parity.differences import ImageDifference


class ParitySummary:
    """Adds up differences image by image; its memory does not grow with the images."""

    def __init__(self, worst: int) -> None:
        """Keep the ``worst`` images that differ most."""
        self._keep = worst
        self._worst: list[tuple[float, int, dict[str, Any]]] = []
        self.reasons: Counter[str] = Counter()
        self._largest: dict[str, float] = {}
        self._totals: Counter[str] = Counter()
        self.images = self.failed = self.different = 0

    def add(self, image_id: str, found: ImageDifference, *, failed: bool) -> None:
        """Count one image; ``failed``: both models failed, so nothing is compared."""
        self.images += 1
        if failed:
            self.failed += 1
            return
        self.different += bool(found.reasons)
        self.reasons.update(found.reasons)
        for key in ("confidence", "box", "keypoints"):
            value = getattr(found, key)
            if value is not None:
                self._largest[key] = max(self._largest.get(key, 0.0), value)
        if found.mask_iou is not None:
            self._largest["mask_iou"] = min(self._largest.get("mask_iou", 1.0), found.mask_iou)
        for key in ("counts", "unmatched"):
            for side, count in zip("ab", getattr(found, key) or (), strict=False):
                self._totals[f"{key}_{side}"] += count
        entry = (found.severity, -self.images, {"image_id": image_id, **found.to_json()})
        if len(self._worst) < self._keep:
            heapq.heappush(self._worst, entry)
        elif self._worst:
            heapq.heappushpop(self._worst, entry)

    @property
    def compared(self) -> int:
        """Number of images that at least one of the models predicted."""
        return self.images - self.failed

    def to_json(self) -> dict[str, Any]:
        """Return the totals.

        Returns:
            ``images, failed, different, differs_in`` (reason -> images), ``largest`` (confidence,
            box and keypoints: the largest differences; mask_iou: the smallest), ``detections`` and
            ``unmatched`` ([A, B], of objects), ``worst`` (the worst images first).
        """
        totals = self._totals
        sides = {
            name: [totals[f"{key}_a"], totals[f"{key}_b"]]
            for name, key in (("detections", "counts"), ("unmatched", "unmatched"))
            if f"{key}_a" in totals
        }
        return {
            "images": self.images,
            "failed": self.failed,
            "different": self.different,
            "differs_in": dict(self.reasons),
            "largest": dict(self._largest),
            **sides,
            "worst": [entry for _, _, entry in sorted(self._worst, key=_order)],
        }


def _order(entry: tuple[float, int, dict[str, Any]]) -> tuple[float, int]:
    severity, minus_position, _ = entry
    return -severity, -minus_position
