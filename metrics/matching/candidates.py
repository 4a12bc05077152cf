"""Candidates for matching: every overlapping pair of a prediction and a ground-truth object."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from snellen.metrics.matching.assignment import Ints, Pairs, greedy, image_pairs, ranks
from snellen.metrics.matching.instances import Images
from snellen.metrics.matching.overlaps import Bools, Kind
from snellen.metrics.matching.pair_overlaps import pair_overlap


@dataclass(frozen=True)
class Candidates:
    """The images of one part with D predictions, G truths and the P pairs that overlap enough.

    Attributes:
        images: the part.
        ignored: bool, (G,), truths that are neither found nor missed.
        order: int64, (D,), position of each prediction by falling confidence in its image.
        rank: int64, (D,), the same within its image and class.
        pairs: the pairs within an image, of any classes.
        same_class: bool, (P,), True where both of a pair have the same class.
    """

    images: Images
    ignored: Bools
    order: Ints
    rank: Ints
    pairs: Pairs
    same_class: Bools

    def assign(self, thresholds: npt.NDArray[np.floating[Any]]) -> Ints:
        """Match predictions with truths of their class by COCO's rule, see `greedy`.

        Args:
            thresholds: (T,), minimum overlaps, none below the floor of the candidates.

        Returns:
            int64, (D, T): the index of the true object, -1 for none.
        """
        pairs = self.pairs.where(self.same_class)
        return greedy(pairs, self.rank, thresholds, self.ignored, self.images.truths.crowd)


def find_candidates(
    images: Images, kind: Kind, sigmas: Sequence[float] | None, floor: float
) -> Candidates:
    """Compute the overlaps of all pairs within an image.

    Args:
        images: the part.
        kind: the overlap to measure by.
        sigmas: see `snellen.metrics.matching.overlaps.keypoint_sigmas`.
        floor: minimum overlap of a pair, above 0.

    Raises:
        ValueError: sigmas or numbers of keypoints that do not fit.

    Example:
        >>> from snellen.metrics.examples import detection_rows
        >>> from snellen.metrics.matching.instances import read_images
        >>> images = read_images(detection_rows(), "bbox", 2)
        >>> candidates = find_candidates(images, "bbox", None, floor=0.1)
        >>> candidates.assign(np.array([0.5])).ravel().tolist()
        [0, -1, -1]
    """
    truths, found = images.truths, images.predictions
    pairs = image_pairs(found.row, truths.row, pair_overlap(images, kind, sigmas), floor)
    classes = 1 + int(max(found.class_id.max(initial=0), truths.class_id.max(initial=0)))
    return Candidates(
        images=images,
        ignored=truths.ignored,
        order=ranks(found.row),
        rank=ranks(found.row * classes + found.class_id),
        pairs=pairs,
        same_class=found.class_id[pairs.prediction] == truths.class_id[pairs.truth],
    )
