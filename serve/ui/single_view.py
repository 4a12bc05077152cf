"""A prediction of one image, as the page shows it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from snellen.pipelines.models.training_jobs import describe_job
from snellen.serve.api.schemas import InferenceResultResponse, MaskResponse, PoseResponse
from snellen.serve.ui.shapes import Skeleton, mask_path, skeleton
from snellen.store.jobs import get_training_job, list_training_jobs
from snellen.store.sql.database import Database

_MAX_JOBS = 500
_EXPLAINED = ("timm",)
"""Frameworks whose adapter explains predictions; loading it here to ask would take seconds."""
_JOINT = 150
"""The side of the image by the radius of a joint."""


@dataclass(frozen=True, slots=True)
class Shape:
    """One predicted object: box in pixels of the upright image, outline and points.

    Attributes:
        mask: path of its mask; empty without one.
        pixels: area of the mask.
        skeleton: of a pose; None without one.
    """

    index: int
    label: str
    confidence: float
    x: float
    y: float
    width: float
    height: float
    mask: str
    skeleton: Skeleton | None


@dataclass(frozen=True, slots=True)
class SingleView:
    """A prediction for the template.

    Attributes:
        shapes: its objects.
        drawn: the same by falling area, so that small ones lie on top.
        can_explain: the model explains its predictions (Grad-CAM).
    """

    result: InferenceResultResponse
    shapes: list[Shape]
    drawn: list[Shape]
    can_explain: bool

    @property
    def document(self) -> dict[str, Any]:
        """Return the response of the API, for the download."""
        return self.result.model_dump(mode="json")

    @property
    def milliseconds(self) -> float:
        """Return the time of all stages."""
        found = self.result
        return found.preprocessing_time_ms + found.inference_time_ms + found.postprocessing_time_ms

    @property
    def margin(self) -> float | None:
        """Return how far the first two classes are apart; None if there are no two."""
        top = self.result.top5_predictions or []
        return top[0].confidence - top[1].confidence if len(top) > 1 else None

    @property
    def lowest(self) -> float:
        """Return the confidence of the least confident object, rounded down; 0 without any."""
        confidences = [shape.confidence for shape in self.shapes]
        return int(100 * min(confidences, default=0.0)) / 100


def is_explainable(db: Database, result: InferenceResultResponse) -> bool:
    """Return True if the model of a prediction is a classifier that can explain it."""
    framework = get_training_job(db, result.training_job_id).framework
    return result.top5_predictions is not None and framework in _EXPLAINED


def single_view(result: InferenceResultResponse, *, can_explain: bool = False) -> SingleView:
    """Describe a prediction."""
    boxes = result.predicted_boxes or []
    masks: Sequence[MaskResponse] = result.predicted_masks or []
    poses: Sequence[PoseResponse] = result.predicted_keypoints or []
    radius = max(result.width or 0, result.height or 0) / _JOINT
    shapes = []
    for index, box in enumerate(boxes):
        left, top, right, bottom = box.xyxy
        mask = masks[index] if index < len(masks) else None
        pose = poses[index] if index < len(poses) else None
        points: list[Any] = [] if pose is None else [one.model_dump() for one in pose.keypoints]
        shapes.append(
            Shape(
                index=index,
                label=box.label,
                confidence=box.confidence,
                x=left,
                y=top,
                width=right - left,
                height=bottom - top,
                mask="" if mask is None else mask_path(mask.counts, *mask.size),
                skeleton=skeleton(points, radius) if points else None,
            )
        )
    drawn = sorted(shapes, key=lambda shape: -shape.width * shape.height)
    return SingleView(result, shapes, drawn, can_explain)


def job_choices(db: Database) -> list[tuple[int, str]]:
    """Return the training jobs to choose from: id and label."""
    return [
        (job.id, f"{job.name} ({job.task_type.replace('_', ' ')})")
        for job in list_training_jobs(db, limit=_MAX_JOBS)
    ]


def checkpoint_choices(db: Database, job_id: int) -> list[tuple[str, str]]:
    """Return the checkpoints of a training job: name and label with its metric.

    Raises:
        InputError: JOB_NOT_FOUND.
    """
    found = describe_job(get_training_job(db, job_id))["checkpoints"]
    labels = []
    for entry in found:
        name = str(entry["name"])
        words = [name if not name.isdecimal() else f"epoch {name}"]
        if entry["epoch"] is not None and not name.isdecimal():
            words.append(f"epoch {entry['epoch']}")
        if entry["metric"] is not None:
            words.append(f"{entry['metric']:.4g}")
        labels.append((name, " · ".join(words)))
    return labels or [("best", "best")]
