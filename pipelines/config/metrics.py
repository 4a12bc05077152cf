"""The configuration of the metrics, and of the parts of a set that they are computed for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import AfterValidator, Discriminator, Field, FiniteFloat, StrictInt, Tag

from snellen.pipelines.config.base import Fraction, PositiveInt, Section


def _slicing_form(value: Any) -> str | None:
    """Which form an entry of ``slices`` has, so that an error is about that form alone."""
    if isinstance(value, str) and value.strip():
        return "column"
    known = isinstance(value, Mapping) and set(value) <= {"by", "edges"} and value.get("by")
    return "limits" if known or isinstance(value, SliceBy) else None


def _rising(edges: tuple[float, ...] | None) -> tuple[float, ...] | None:
    if edges is not None and (not edges or list(edges) != sorted(set(edges))):
        raise ValueError("expected rising limits such as [10, 20]")
    return edges


@dataclass(frozen=True)
class SliceBy:
    """Parts of the set: by a column, or one of the names in `snellen.metrics.slices.BINS`."""

    by: str
    edges: Annotated[tuple[FiniteFloat, ...] | None, AfterValidator(_rising)] = None


Slicing = Annotated[
    Annotated[str, Tag("column")] | Annotated[SliceBy, Tag("limits")],
    Discriminator(
        _slicing_form,
        custom_error_type="slicing",
        custom_error_message="expected a column, or {by: COLUMN, edges: [10, 20]} for a column of "
        "numbers",
    ),
]


class MetricsConfig(Section):
    """What is computed from the result files; `rescore` changes it without inference."""

    confidence_level: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.95
    ece_bins: Annotated[StrictInt, Field(ge=2, le=1000)] = 15
    operating_confidence: Fraction = Field(
        0.25, description="Detections below it do not count in matches, precision and recall."
    )
    operating_iou: Annotated[float, Field(gt=0.0, le=1.0)] = Field(
        0.5, description="Overlap (IoU, or OKS for poses) that makes a match."
    )
    kpt_sigmas: tuple[Annotated[float, Field(gt=0.0)], ...] | None = Field(
        None, description="Sigmas of the keypoints; null: COCO's for 17, else 1/K each."
    )
    max_dets: tuple[PositiveInt, PositiveInt, PositiveInt] = Field(
        (1, 10, 100), description="COCO's maximum numbers of detections per image and class."
    )
    bootstrap: Annotated[StrictInt, Field(ge=0)] | None = Field(
        None, description="Resamples for intervals of the APs; null: 200; 0: none."
    )
    slices: tuple[Slicing, ...] = Field(
        (),
        description="Also the metrics of parts of the set: columns (meta_camera), image_size, "
        "object_size, object_count; or {by: COLUMN, edges: [10, 20]} for a column of numbers.",
    )

    @property
    def sliced_by(self) -> tuple[SliceBy, ...]:
        """``slices`` in one form."""
        return tuple(SliceBy(one) if isinstance(one, str) else one for one in self.slices)
