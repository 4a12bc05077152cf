"""Masks and skeletons as SVG paths, in pixels of the upright image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from snellen.pipelines.visualization.masks import decode_mask
from snellen.pipelines.visualization.skeletons import PERSON_LIMBS, PERSON_POINTS, VISIBLE

_MAX_STRIPS = 1000


def mask_path(counts: bytes | str, height: int, width: int) -> str:
    """Return the path of a mask: strips of one column each, or of several in large images.

    Args:
        counts: COCO's compressed run-length encoding.
        height, width: of the image in pixels.
    """
    mask = decode_mask(counts, height, width)
    step = -(-max(height, width) // _MAX_STRIPS)
    columns = mask[:, ::step].T
    edges = np.diff(np.pad(columns.astype(np.int8), ((0, 0), (1, 1))), axis=1)
    column, top = np.nonzero(edges == 1)
    bottom = np.nonzero(edges == -1)[1]
    sides = np.minimum(column * step + step, width) - column * step
    return "".join(
        f"M{x} {y}h{w}v{h}h-{w}z"
        for x, y, w, h in zip(
            (column * step).tolist(), top.tolist(), sides.tolist(), (bottom - top).tolist(),
            strict=True,
        )
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Skeleton:
    """The limbs and points of a pose, as paths.

    Attributes:
        limbs: lines between visible points, for people of 17 points.
        joints: circles around visible points.
        visible, points: number of points above the threshold, and of all.
    """

    limbs: str
    joints: str
    visible: int
    points: int


def skeleton(keypoints: Sequence[Mapping[str, float]], radius: float) -> Skeleton:
    """Draw the points of one pose.

    Args:
        keypoints: ``x, y`` in pixels, ``v`` a confidence.
        radius: of the circles, in pixels of the image.
    """
    seen = {n: point for n, point in enumerate(keypoints) if point["v"] >= VISIBLE}
    limbs = [
        f"M{seen[a]['x']:.1f} {seen[a]['y']:.1f}L{seen[b]['x']:.1f} {seen[b]['y']:.1f}"
        for a, b in PERSON_LIMBS
        if len(keypoints) == PERSON_POINTS and a in seen and b in seen
    ]
    r, d = f"{radius:.1f}", f"{2 * radius:.1f}"
    joints = [
        f"M{point['x'] - radius:.1f} {point['y']:.1f}a{r} {r} 0 1 0 {d} 0a{r} {r} 0 1 0-{d} 0"
        for point in seen.values()
    ]
    return Skeleton("".join(limbs), "".join(joints), len(seen), len(keypoints))
