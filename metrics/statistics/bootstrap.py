"""Bootstrap intervals of mAP: its variation under resampling of the images.

Source: B. Efron, Bootstrap methods: another look at the jackknife, Annals of Statistics 7 (1979),
with images as the units: they are drawn with replacement, each with all of its objects. (Single
predictions of an image are not independent.) With ``metrics.group`` whole groups of images are
drawn. Instead of copying images, each draw gives them
weights, which AP takes (`snellen.metrics.detection.average_precision`): nothing is matched or
sorted again. 200 draws take about 5 s for 100,000 predictions of 80 classes and 10 s for
250,000. Above `IMAGES_DRAWN_UP_TO` predictions blocks of images are drawn instead: see
`snellen.metrics.statistics.block_bootstrap`.

The interval is Student's around the AP of the set, with the standard deviation of the draws: see
`snellen.metrics.statistics.draws.student_half_width`.
Percentiles of the draws are biased: AP takes at each recall the best precision from there on, so
that it grows as the number of different images falls, and the draws exceed the AP of the set by
up to several standard deviations.
"""

from __future__ import annotations

import numpy as np

from snellen.metrics.detection.average_precision import WeightedPrecision
from snellen.metrics.detection.state import OverlapState
from snellen.metrics.matching.overlaps import Floats
from snellen.metrics.statistics.block_bootstrap import mean_precision
from snellen.metrics.statistics.draws import Blocks, Sampling, blocks_of_images, blocks_of_keys

IMAGES_DRAWN_UP_TO = 250_000
"""Maximum number of predictions of a set whose images are drawn one by one."""


def bootstrap_intervals(
    state: OverlapState, num_classes: int, blocks: Blocks, sampling: Sampling
) -> dict[str, list[float] | None]:
    """Compute the intervals of mAP50-95 and mAP50.

    A class without truths in a draw is excluded from the mean of that draw.

    Args:
        state: of the whole set, ordered by image.
        num_classes: K.
        blocks: of its images; see `resampled`.
        sampling: number and seed of the draws.

    Returns:
        [low, high] within [0, 1] by key without prefix; None without draws or truths, or with
        one image or group.

    Example:
        >>> from snellen.metrics.detection.counting import count
        >>> from snellen.metrics.detection.options import options_of
        >>> from snellen.metrics.examples import detection_rows
        >>> state = count(detection_rows(), 2, options_of(["bbox"])).overlaps["bbox"]
        >>> sampling = Sampling(9, 0.95, seed=0)
        >>> found = bootstrap_intervals(state, 2, resampled(state, sampling), sampling)
        >>> low, high = found["mAP50"]
        >>> low <= 0.5 <= high
        True
    """
    if sampling.resamples < 2 or blocks.count < 2 or not state.truths["counted"].any():
        return {"mAP50-95": None, "mAP50": None}
    precision = WeightedPrecision(state.images, state.detections, state.truths, num_classes)
    own = precision.mean(np.ones(len(state.images)))
    if len(state.detections) > IMAGES_DRAWN_UP_TO:
        weights = blocks.weights(sampling.resamples, sampling.seed)
        draws = mean_precision(state, num_classes, blocks.of_image, weights)
    else:
        drawn = blocks.each_draw(sampling.resamples, sampling.seed)
        draws = np.array([precision.mean(weights[blocks.of_image]) for weights in drawn])

    def interval(value: float, values: Floats) -> list[float] | None:
        half = blocks.half_width(values, sampling.level)
        return None if half is None else [max(0.0, value - half), min(1.0, value + half)]

    return {
        "mAP50-95": interval(float(own.mean()), draws.mean(axis=1)),
        "mAP50": interval(float(own[0]), draws[:, 0]),
    }


def resampled(state: OverlapState, sampling: Sampling) -> Blocks:
    """Return what the bootstrap of a set draws: its groups, its images, or blocks of them.

    Args:
        state: of the whole set, ordered by image.
        sampling: its seed assigns the images of a large set to blocks.
    """
    if state.groups is not None:
        return blocks_of_keys(state.groups)
    large = len(state.detections) > IMAGES_DRAWN_UP_TO
    return blocks_of_images(len(state.images), sampling.seed if large else None)
