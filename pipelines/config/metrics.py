"""The configuration of the metrics and of the slices of the dataset."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Discriminator,
    Field,
    FiniteFloat,
    StrictInt,
    Tag,
)

from snellen.metrics.detection.options import COCO_LIMITS
from snellen.metrics.matching.thresholds import DEFAULT_CONFIDENCE
from snellen.pipelines.config.base import Fraction, PositiveInt, Section


def _slicing_form(value: Any) -> str | None:
    """Return the form of an entry of ``slices``, so that an error names only that form."""
    if isinstance(value, str) and value.strip():
        return "column"
    known = isinstance(value, Mapping) and set(value) <= {"by", "edges"} and value.get("by")
    return "limits" if known or isinstance(value, SliceBy) else None


def _rising(edges: tuple[float, ...] | None) -> tuple[float, ...] | None:
    if edges is not None and (not edges or list(edges) != sorted(set(edges))):
        raise ValueError("expected rising limits such as [10, 20]")
    return edges


def _rising_limits(limits: tuple[int, ...]) -> tuple[int, ...]:
    if list(limits) != sorted(set(limits)):
        raise ValueError("expected rising numbers such as [1, 10, 100]")
    return limits


def _threshold_form(value: Any) -> str:
    """Return the form of a threshold, so that an error names only that form."""
    return "classes" if isinstance(value, Mapping) else "number"


def _names_as_text(value: Any) -> Any:
    """Convert class names that YAML reads as numbers (0, 1, 2) to text."""
    if not isinstance(value, Mapping):
        return value
    return {str(key) if type(key) is int else key: item for key, item in value.items()}


OperatingConfidence = Annotated[
    Annotated[Fraction, Tag("number")]
    | Annotated[
        dict[str, Fraction], BeforeValidator(_names_as_text), Field(min_length=1), Tag("classes")
    ],
    Discriminator(_threshold_form),
]
"""A threshold for all classes, or thresholds by class name, ``default`` for the others."""


@dataclass(frozen=True)
class SliceBy:
    """Slices by a column, or by one of the names in `snellen.metrics.slices.BINS`."""

    by: str
    edges: Annotated[tuple[FiniteFloat, ...] | None, AfterValidator(_rising)] = None


Slicing = Annotated[
    Annotated[str, Tag("column")] | Annotated[SliceBy, Tag("limits")],
    Discriminator(
        _slicing_form,
        custom_error_type="slicing",
        custom_error_message="expected a column, or {by: COLUMN, edges: [10, 20]} for a numeric "
        "column",
    ),
]


class MetricsConfig(Section):
    """The metrics, computed from the result files; `rescore` changes them without inference."""

    confidence_level: Annotated[float, Field(gt=0.0, lt=1.0)] = Field(
        0.95, description="Confidence level of the intervals."
    )
    ece_bins: Annotated[StrictInt, Field(ge=2, le=1000)] = Field(
        15, description="Number of bins of the expected calibration error."
    )
    operating_confidence: OperatingConfidence = Field(
        DEFAULT_CONFIDENCE,
        description="Confidence threshold of the operating point: detections below it do not count "
        "in matches, precision, recall and the confusion matrix. {default: 0.25, person: 0.4}: one "
        "per class.",
    )
    operating_iou: Annotated[float, Field(gt=0.0, le=1.0)] = Field(
        0.5, description="Minimum overlap of a match: IoU, or OKS for poses."
    )
    kpt_sigmas: tuple[Annotated[float, Field(gt=0.0)], ...] | None = Field(
        None, description="Sigmas of the K keypoints; null: COCO's for K = 17, else 1/K each."
    )
    max_dets: Annotated[
        tuple[PositiveInt, ...], Field(min_length=1), AfterValidator(_rising_limits)
    ] = Field(
        COCO_LIMITS,
        description="COCO's maximum numbers of detections per image and class, rising, for mAR; "
        "the last one also for mAP. [500] gives mAR_500 and mAP50-95@500.",
    )
    classes: Annotated[tuple[str, ...], Field(min_length=1)] | None = Field(
        None,
        description="Classes to score, by name; null: all. Images (classification) or objects and "
        "predictions (detection) of other classes are excluded and counted.",
    )
    bootstrap: Annotated[StrictInt, Field(ge=0)] | None = Field(
        None,
        description="Number of bootstrap resamples for the intervals of detectors, and of all "
        "metrics with metrics.group; null: 200; 0: no such intervals.",
    )
    group: Annotated[str, Field(pattern=r"^meta_.")] | None = Field(
        None,
        description="Metadata column of dependent images (meta_patient): images of one value are "
        "resampled together in all intervals. null: images are independent.",
    )
    slices: tuple[Slicing, ...] = Field(
        (),
        description="Slices that the metrics are also computed for: columns (meta_camera), "
        "image_size, object_size, object_count; or {by: COLUMN, edges: [10, 20]} for a numeric "
        "column.",
    )
    extra: tuple[str, ...] = Field(
        (),
        description="Further metrics from plugins: names of entry points in the group "
        "snellen.metrics, or module:attribute.",
    )

    @property
    def sliced_by(self) -> tuple[SliceBy, ...]:
        """``slices``, with columns in the form of `SliceBy`."""
        return tuple(SliceBy(one) if isinstance(one, str) else one for one in self.slices)
