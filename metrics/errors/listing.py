"""The objects behind a number: those of TIDE's buckets and those of the confusion matrix."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from snellen.adapters.finite import finite_or_none
from snellen.metrics.detection.confusion import confuse
from snellen.metrics.detection.options import DetectionOptions
from snellen.metrics.detection.rules import Matched, match
from snellen.metrics.detection.tide import BUCKETS
from snellen.metrics.errors.instance_views import Instance, Side, image_ids
from snellen.metrics.matching.assignment import Ints
from snellen.metrics.matching.candidates import Candidates
from snellen.metrics.matching.instances import Images, Instances, instance_columns, read_images
from snellen.metrics.matching.overlaps import Floats
from snellen.metrics.matching.thresholds import Thresholds

_MISS = BUCKETS.index("Miss")


def listing_columns(options: DetectionOptions) -> tuple[str, ...]:
    """Return the columns of a result row that the listings of this module read."""
    return (*instance_columns((options.own,)), "image_id")


class Listing:
    """Objects of one part; see `snellen.metrics.errors.instance_views.Listed`.

    Attributes:
        true, predicted: int64, (E,), indices of the part's truths and predictions, -1 for none.
        true_place: int64, (E,), index of the true object in ``true_boxes`` of its row, -1 for none.
        predicted_place: int64, (E,), likewise in ``predicted_boxes``.
        row: int64, (E,), of the image, in `snellen.metrics.matching.instances.Images.index`.
        overlap: float64, (E,), NaN where one of the two is missing.
        bucket: uint8, (E,), of `snellen.metrics.detection.tide.BUCKETS`; None in a list of cells.
    """

    def __init__(
        self,
        images: Images,
        true: Ints,
        predicted: Ints,
        overlap: Floats,
        bucket: npt.NDArray[np.uint8] | None = None,
    ) -> None:
        """Collect the objects in the order in which they are listed."""
        self._images = images
        self.true, self.predicted = true, predicted
        self.overlap, self.bucket = overlap, bucket
        truths, found = images.truths, images.predictions
        of_prediction = np.append(found.row, -1)[predicted]
        self.row: Ints = np.where(predicted >= 0, of_prediction, np.append(truths.row, -1)[true])
        self.image: Ints = images.index[self.row]
        self.true_place: Ints = np.append(truths.place, -1)[true]
        self.predicted_place: Ints = np.append(found.place, -1)[predicted]
        self.true_class: Ints = np.append(truths.class_id, -1)[true]
        self.predicted_class: Ints = np.append(found.class_id, -1)[predicted]
        self.confidence: Floats = np.append(found.confidence.astype(np.float64), np.nan)[predicted]

    def take(self, index: npt.NDArray[Any]) -> Listing:
        """Select objects by a mask of shape (E,) or by their indices."""
        return Listing(
            self._images,
            self.true[index],
            self.predicted[index],
            self.overlap[index],
            None if self.bucket is None else self.bucket[index],
        )

    def instances(self, table: pa.Table, names: Sequence[str]) -> list[Instance]:
        """Convert to objects; see `snellen.metrics.errors.instance_views.Listed`."""
        ids = image_ids(table, self.image)
        return [
            Instance(
                image_index=int(self.image[e]),
                image_id=ids[e],
                true=_side(self._images.truths, int(self.true[e]), names),
                predicted=_side(self._images.predictions, int(self.predicted[e]), names, True),
                overlap=finite_or_none(float(self.overlap[e])),
                bucket=None if self.bucket is None else BUCKETS[self.bucket[e]],
            )
            for e in range(len(ids))
        ]


def tide_listing(
    table: pa.Table, num_classes: int, options: DetectionOptions, *, confidence: float = 0.0
) -> Listing:
    """List the errors of a part, each with its bucket; see `snellen.metrics.detection.tide`.

    In the order of the images; in each the wrong predictions by falling confidence, then the
    missed truths. ``true`` is the object that is missed or that a Cls or Loc error points to, so it
    is -1 for Both, Dupe and Bkg.

    Args:
        table: rows of a result file with `listing_columns`.
        num_classes: K.
        options: the task's own overlap decides: boxes, masks or poses.
        confidence: less confident predictions are ignored. 0 gives the errors that a report's
            ``details["tide"]["counts"]`` count; with more there are fewer wrong predictions and
            more missed truths.

    Raises:
        ValueError: see `snellen.metrics.matching.instances.read_images`.

    Example:
        >>> from snellen.metrics.detection.options import options_of
        >>> from snellen.metrics.examples import detection_rows
        >>> listing = tide_listing(detection_rows(), 2, options_of(["bbox"]))
        >>> [BUCKETS[bucket] for bucket in listing.bucket]
        ['Cls', 'Bkg']
    """
    return errors_of(confident_matches(table, num_classes, options, Thresholds(confidence)))


def confident_matches(
    table: pa.Table, num_classes: int, options: DetectionOptions, thresholds: Thresholds
) -> Matched:
    """Match the predictions of a part that reach the threshold of their class."""
    return match(_confident(table, num_classes, options, thresholds), options.own, options)


def errors_of(matched: Matched) -> Listing:
    """List the errors of a matched part; see `tide_listing`."""
    errors = matched.tide
    wrong = np.flatnonzero(errors.bucket < _MISS)
    missed = np.flatnonzero(errors.missed)
    true = np.concatenate([errors.target[wrong], missed])
    predicted = np.concatenate([wrong, np.full(len(missed), -1, dtype=np.int64)])
    bucket = np.append(errors.bucket[wrong], np.full(len(missed), _MISS, dtype=np.uint8))
    return _listing(matched.candidates, true, predicted, bucket)


def confusion_listing(table: pa.Table, num_classes: int, options: DetectionOptions) -> Listing:
    """List what the cells of the confusion matrix count, see `snellen.metrics.detection.confusion`.

    In the order of the images; in each the predictions by falling confidence, then the truths
    without one. As many have true class t and predicted class p as the cell (t, p) says.

    Args:
        table: rows of a result file with `listing_columns`.
        num_classes: K.
        options: those of the report that has the matrix.

    Raises:
        ValueError: see `snellen.metrics.matching.instances.read_images`.

    Example:
        >>> from snellen.metrics.detection.options import options_of
        >>> from snellen.metrics.examples import detection_rows
        >>> listing = confusion_listing(detection_rows(), 2, options_of(["bbox"]))
        >>> listing.true_class.tolist(), listing.predicted_class.tolist()
        ([0, 1, -1], [0, 0, 1])
    """
    images = _confident(table, num_classes, options, options.thresholds)
    matched = match(images, options.own, options)
    every = np.ones(len(images.predictions), dtype=np.bool_)
    pairs = confuse(matched, every, options.operating_iou)
    true = np.concatenate([pairs.true, pairs.missed])
    nothing = np.full(len(pairs.missed), -1, dtype=np.int64)
    return _listing(matched.candidates, true, np.concatenate([pairs.predicted, nothing]), None)


def _confident(
    table: pa.Table, num_classes: int, options: DetectionOptions, thresholds: Thresholds
) -> Images:
    images = read_images(table, options.own, num_classes).of_classes(options.class_ids)
    found = images.predictions
    kept = np.flatnonzero(thresholds.reached(found.class_id, found.confidence))
    return images.with_predictions(found.take(kept))


def _listing(
    candidates: Candidates,
    true: Ints,
    predicted: Ints,
    bucket: npt.NDArray[np.uint8] | None,
) -> Listing:
    both = (true >= 0) & (predicted >= 0)
    overlap = np.full(len(true), np.nan)
    overlap[both] = candidates.pairs.overlaps_of(predicted[both], true[both])
    listing = Listing(candidates.images, true, predicted, overlap, bucket)
    # predictions are sorted by confidence within an image already, and precede the truths
    return listing.take(np.argsort(listing.row, kind="stable"))


def _side(
    instances: Instances, place: int, names: Sequence[str], predicted: bool = False
) -> Side | None:
    if place < 0:
        return None
    class_id = int(instances.class_id[place])
    return Side(
        class_id=class_id,
        label=names[class_id],
        index=int(instances.place[place]),
        box=tuple(instances.boxes[place].tolist()),
        confidence=float(instances.confidence[place]) if predicted else None,
    )
