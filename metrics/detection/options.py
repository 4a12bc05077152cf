"""The settings of detection, segmentation and pose metrics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from snellen.metrics.matching.overlaps import Kind
from snellen.metrics.matching.thresholds import (
    ALL_CLASSES,
    DEFAULT_CONFIDENCE,
    OTHER_CLASSES,
    Thresholds,
)
from snellen.metrics.statistics.draws import RESAMPLES, Sampling

PREFIX: dict[Kind, str] = {"bbox": "", "segm": "mask_", "keypoints": "oks_"}
"""The prefix of a metric's key."""

COCO_LIMITS = (1, 10, 100)
"""COCO's maximum numbers of detections per image and class."""


@dataclass(frozen=True)
class DetectionOptions:
    """The settings of `snellen.metrics.detection.metrics.DetectionMetrics`.

    Attributes:
        kinds: the overlaps to measure by; the last one is the task's own, which decides at the
            operating point and in TIDE.
        confidence_level: of the two-sided intervals.
        thresholds: predictions below that of their class are ignored at the operating point.
        operating_iou: overlap (IoU, or OKS for poses) of a match there; also TIDE's.
        kpt_sigmas: K values above 0; None is COCO's for 17 keypoints, else 1 / K each.
        max_dets: COCO's limits on predictions per image and class, rising; the last one applies
            to every AP. Poses have COCO's own limit of 20.
        bootstrap: resamples for the intervals, 0 for none; None means 200.
        seed: of the bootstrap.
        group: metadata column of dependent images, which are drawn together; None for none.
        class_ids: the classes that are scored, rising; None for all. Objects and predictions of
            other classes are dropped before anything is matched; images without any stay.
    """

    kinds: tuple[Kind, ...]
    confidence_level: float = 0.95
    thresholds: Thresholds = ALL_CLASSES
    operating_iou: float = 0.5
    kpt_sigmas: tuple[float, ...] | None = None
    max_dets: tuple[int, ...] = COCO_LIMITS
    bootstrap: int | None = None
    seed: int = 0
    group: str | None = None
    class_ids: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            ValueError: a value out of range.
        """
        if not 0 < self.operating_iou <= 1:
            raise ValueError(f"operating_iou is {self.operating_iou}. Expected (0, 1].")
        for value in (self.thresholds.default, *dict(self.thresholds.by_class).values()):
            if not 0 <= value <= 1:
                raise ValueError(f"operating_confidence is {value}. Expected [0, 1].")
        limits = self.max_dets
        if not limits or limits[0] < 1 or list(limits) != sorted(set(limits)):
            raise ValueError(
                f"max_dets are {list(limits)}. Expected rising numbers such as [1, 10, 100]."
            )
        if self.kpt_sigmas is not None and min(self.kpt_sigmas, default=0.0) <= 0:
            raise ValueError(f"kpt_sigmas are {list(self.kpt_sigmas)}. Expected numbers above 0.")
        if self.bootstrap is not None and self.bootstrap < 0:
            raise ValueError(f"bootstrap is {self.bootstrap}. Expected 0 or more resamples.")

    @property
    def own(self) -> Kind:
        """The task's own overlap."""
        return self.kinds[-1]

    def limits(self, kind: Kind) -> tuple[int, ...]:
        """Return COCO's maxDets for an overlap."""
        return (20,) if kind == "keypoints" else self.max_dets

    def suffix(self, kind: Kind) -> str:
        """Return the ending of the keys of APs at another limit than COCO's: ``@500``."""
        last = self.limits(kind)[-1]
        return "" if kind == "keypoints" or last == COCO_LIMITS[-1] else f"@{last}"

    @property
    def resamples(self) -> int:
        """The number of bootstrap resamples."""
        return RESAMPLES if self.bootstrap is None else self.bootstrap

    @property
    def sampling(self) -> Sampling:
        """The settings of the bootstrap."""
        return Sampling(self.resamples, self.confidence_level, self.seed)


def options_of(
    kinds: Sequence[Kind],
    *,
    class_names: Sequence[str] | None = None,
    operating_confidence: float | Mapping[str, float] = DEFAULT_CONFIDENCE,
    kpt_sigmas: Sequence[float] | None = None,
    max_dets: Sequence[int] = COCO_LIMITS,
    **others: object,
) -> DetectionOptions:
    """Build the options from the ``metrics`` section of a configuration.

    Args:
        kinds: the overlaps to measure by, the task's own last.
        class_names: K names, for thresholds by class; None if the classes are not known yet:
            then the threshold of the other classes stands for all.
        operating_confidence: see `Thresholds.of`.
        kpt_sigmas: see `DetectionOptions`.
        max_dets: likewise.
        others: other options; unknown keys are ignored.

    Raises:
        ConfigError: see `Thresholds.of`.
        ValueError: see `DetectionOptions`.

    Example:
        >>> options = options_of(["bbox", "segm"], operating_iou=0.75, ece_bins=15)
        >>> options.own, options.operating_iou
        ('segm', 0.75)
    """
    known = {name: others[name] for name in DetectionOptions.__annotations__ if name in others}
    sigmas = None if kpt_sigmas is None else tuple(float(sigma) for sigma in kpt_sigmas)
    limits = tuple(int(limit) for limit in max_dets)
    if class_names is None and isinstance(operating_confidence, Mapping):
        operating_confidence = operating_confidence.get(OTHER_CLASSES, DEFAULT_CONFIDENCE)
    known["thresholds"] = Thresholds.of(operating_confidence, class_names or ())
    return DetectionOptions(tuple(kinds), kpt_sigmas=sigmas, max_dets=limits, **known)  # type: ignore[arg-type]
