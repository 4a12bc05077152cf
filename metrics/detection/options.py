"""The settings of detection, segmentation and pose metrics."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from snellen.metrics.detection.overlaps import Kind

KINDS: dict[str, tuple[Kind, ...]] = {
    "object_detection": ("bbox",),
    "instance_segmentation": ("bbox", "segm"),
    "pose_estimation": ("bbox", "keypoints"),
}
"""The overlaps that a task is measured by; the last one is its own."""

PREFIX: dict[Kind, str] = {"bbox": "", "segm": "mask_", "keypoints": "oks_"}
"""What stands before a metric's key."""

BOOTSTRAP_RESAMPLES = 200


@dataclass(frozen=True)
class DetectionOptions:
    """What `snellen.metrics.detection.metrics.DetectionMetrics` is computed with.

    Attributes:
        task: object_detection, instance_segmentation or pose_estimation.
        confidence_level: of the two-sided intervals.
        operating_confidence: predictions below it do not exist at the operating point.
        operating_iou: overlap (IoU, or OKS for poses) of a match there; also TIDE's.
        kpt_sigmas: K values above 0; None is COCO's for 17 keypoints, else 1 / K each.
        max_dets: COCO's three limits of predictions an image and class, rising; the last one
            holds for every AP. Poses have COCO's own limit of 20.
        bootstrap: resamples for the intervals of the APs, 0 for none; None means 200.
        seed: of the bootstrap.
    """

    task: str
    confidence_level: float = 0.95
    operating_confidence: float = 0.25
    operating_iou: float = 0.5
    kpt_sigmas: tuple[float, ...] | None = None
    max_dets: tuple[int, ...] = (1, 10, 100)
    bootstrap: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            ValueError: an unknown task or a value out of range.
        """
        if self.task not in KINDS:
            raise ValueError(f"expected a task of {', '.join(KINDS)}, got {self.task!r}")
        if not 0 < self.operating_iou <= 1:
            raise ValueError(f"expected operating_iou in (0, 1], got {self.operating_iou}")
        if not 0 <= self.operating_confidence <= 1:
            raise ValueError(
                f"expected operating_confidence in [0, 1], got {self.operating_confidence}"
            )
        limits = self.max_dets
        if len(limits) != 3 or limits[0] < 1 or list(limits) != sorted(set(limits)):
            raise ValueError(f"expected max_dets as three rising numbers, got {list(limits)}")
        if self.kpt_sigmas is not None and min(self.kpt_sigmas, default=0.0) <= 0:
            raise ValueError(f"expected kpt_sigmas above 0, got {list(self.kpt_sigmas)}")
        if self.bootstrap is not None and self.bootstrap < 0:
            raise ValueError(f"expected bootstrap of 0 or more resamples, got {self.bootstrap}")

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """The overlaps that are measured."""
        return KINDS[self.task]

    @property
    def own(self) -> Kind:
        """The task's own overlap: what the operating point and TIDE go by."""
        return self.kinds[-1]

    def limits(self, kind: Kind) -> tuple[int, ...]:
        """COCO's maxDets for an overlap."""
        return (20,) if kind == "keypoints" else self.max_dets

    @property
    def resamples(self) -> int:
        """How often the bootstrap draws."""
        return BOOTSTRAP_RESAMPLES if self.bootstrap is None else self.bootstrap


def options_of(
    task: str,
    *,
    kpt_sigmas: Sequence[float] | None = None,
    max_dets: Sequence[int] = (1, 10, 100),
    **others: object,
) -> DetectionOptions:
    """Build the options from what a configuration holds; keys of other tasks are passed over.

    Raises:
        ValueError: see `DetectionOptions`.
    """
    known = {name: others[name] for name in DetectionOptions.__annotations__ if name in others}
    sigmas = None if kpt_sigmas is None else tuple(float(sigma) for sigma in kpt_sigmas)
    limits = tuple(int(limit) for limit in max_dets)
    return DetectionOptions(task, kpt_sigmas=sigmas, max_dets=limits, **known)  # type: ignore[arg-type]
