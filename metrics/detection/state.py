"""The mergeable state of detection, segmentation and pose metrics.

Every prediction takes 28 bytes here and about 45 in hotcoco's state: 75 MB for a million
predictions and each overlap that the task is measured by (masks and poses have two).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from snellen.metrics.detection import coco
from snellen.metrics.matching.assignment import Ints
from snellen.metrics.matching.overlaps import Kind
from snellen.metrics.statistics.groups import Keys

DETECTION = np.dtype(
    [
        ("image", np.int64),  # image_index
        ("class_id", np.int32),
        ("confidence", np.float32),
        ("hit", np.uint16),  # bit t: matched at COCO's threshold t
        ("skip", np.uint16),  # bit t: matched with an ignored truth there
        ("ultralytics", np.uint16),  # bit t: matched by Ultralytics' rule
        ("within", np.bool_),  # among the max_dets most confident of its image and class
        (
            "tide",
            np.uint8,
        ),  # `snellen.metrics.detection.tide.BUCKETS` at the operating point's overlap
        ("tide_class", np.int32),  # `snellen.metrics.detection.tide.TideErrors.fixed_class`
    ]
)
"""One prediction, of any confidence."""

TRUTH = np.dtype(
    [
        ("image", np.int64),
        ("class_id", np.int32),
        ("counted", np.int32),  # truths to be found by COCO's rules
        ("labelled", np.int32),  # the same by Ultralytics' rules
        ("missed", np.int32),  # in TIDE's bucket Miss
    ]
)
"""The truths of one class in one image."""


@dataclass(frozen=True, eq=False)
class OverlapState:
    """A set measured by one overlap.

    Attributes:
        evaluator: state of a `hotcoco.StreamingEval`; None without instances.
        images: int64, (m,), ``image_index`` of the evaluated images.
        detections: `DETECTION`, (n,), grouped by image, by falling confidence.
        truths: `TRUTH`, (t,).
        groups: uint64, (m,), the group of each image, see
            `snellen.metrics.statistics.groups.group_keys`; None without groups.
    """

    evaluator: bytes | None
    images: Ints
    detections: npt.NDArray[np.void]
    truths: npt.NDArray[np.void]
    groups: Keys | None = None

    @classmethod
    def merge_all(cls, parts: list[OverlapState]) -> OverlapState:
        """Merge the states of parts."""
        groups = [part.groups for part in parts if part.groups is not None]
        return cls(
            coco.merge(part.evaluator for part in parts),
            np.concatenate([part.images for part in parts]),
            np.concatenate([part.detections for part in parts]),
            np.concatenate([part.truths for part in parts]),
            None if len(groups) < len(parts) else np.concatenate(groups),
        )

    def by_image(self) -> OverlapState:
        """Sort by the image index, so that no result depends on the parts.

        Raises:
            ValueError: an image was counted twice.
        """
        order = np.argsort(self.images, kind="stable")
        images = self.images[order]
        twice = images[1:][images[1:] == images[:-1]]
        if len(twice):
            raise ValueError(f"image_index {int(twice[0])} was counted twice. Expected once.")
        return OverlapState(
            self.evaluator,
            images,
            self.detections[np.argsort(self.detections["image"], kind="stable")],
            self.truths[np.argsort(self.truths["image"], kind="stable")],
            None if self.groups is None else self.groups[order],
        )

    def by_class(self, field: str, num_classes: int) -> Ints:
        """Sum a count of `TRUTH` by class: int64, (K,)."""
        total = np.zeros(num_classes, dtype=np.int64)
        np.add.at(total, self.truths["class_id"], self.truths[field])
        return total


@dataclass(frozen=True, eq=False)
class DetectionState:
    """The evaluated images of one part.

    Attributes:
        num_classes: K.
        overlaps: by kind of overlap.
        cells, cell_counts: int64, (c,): the confusion matrix at the operating point, sparse:
            ``true * (K + 1) + predicted``, where K is the background, and their counts.
        excluded: number of ground truth objects of classes that are not scored.
    """

    num_classes: int
    overlaps: dict[Kind, OverlapState]
    cells: Ints
    cell_counts: Ints
    excluded: int = 0

    @property
    def scored(self) -> int:
        """Number of images with ground truth and a prediction."""
        return len(self.overlaps["bbox"].images)

    def merge(self, other: DetectionState) -> DetectionState:
        """Return the state of both parts; see `merge_all`."""
        return DetectionState.merge_all([self, other])

    @classmethod
    def merge_all(cls, states: Iterable[DetectionState]) -> DetectionState:
        """Merge the states of parts; none of them is changed.

        Raises:
            ValueError: no states, or states of different classes or tasks.
        """
        parts = list(states)
        shapes = {(part.num_classes, tuple(part.overlaps)) for part in parts}
        if len(shapes) != 1:
            raise ValueError(
                f"states of {sorted(shapes)}. Expected one number of classes and one task."
            )
        if len(parts) == 1:
            return parts[0]
        cells, place = np.unique(np.concatenate([p.cells for p in parts]), return_inverse=True)
        counts = np.zeros(len(cells), dtype=np.int64)
        np.add.at(counts, place, np.concatenate([part.cell_counts for part in parts]))
        overlaps = {
            kind: OverlapState.merge_all([part.overlaps[kind] for part in parts])
            for kind in parts[0].overlaps
        }
        excluded = sum(part.excluded for part in parts)
        return cls(parts[0].num_classes, overlaps, cells, counts, excluded)
