"""Checks of the ``metrics`` settings against the model, before any image is scored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from snellen.adapters.errors import ConfigError
from snellen.adapters.types import TaskType
from snellen.metrics.class_filter import class_ids
from snellen.metrics.detection.operating_point import OperatingPoint
from snellen.metrics.detection.options import COCO_LIMITS
from snellen.metrics.matching.thresholds import Thresholds
from snellen.metrics.tasks import load, task_of
from snellen.pipelines.config.metrics import MetricsConfig


@dataclass(frozen=True, slots=True)
class Measured:
    """Facts of a run that its metrics depend on.

    Attributes:
        task: the task.
        class_names: the run's class names, in the order of the class ids.
        max_detections: maximum number of stored detections per image; None if unknown.
        labelled: ids of the classes that the dataset has; empty if unknown.
        never_predicted: ids of the classes that ``model.restrict_logits`` excludes.
        keypoints: number of keypoints that the model finds; None if unknown.
        true_keypoints: number of keypoints of the dataset's objects; None if unknown.
        min_confidence: less confident detections are not stored; None if unknown.
    """

    task: TaskType | str
    class_names: tuple[str, ...]
    max_detections: int | None = None
    labelled: frozenset[int] = frozenset()
    never_predicted: frozenset[int] = frozenset()
    keypoints: int | None = None
    true_keypoints: int | None = None
    min_confidence: float | None = None


def check_metric_settings(config: MetricsConfig, measured: Measured) -> None:
    """Reject settings that the metrics of a run cannot be computed with.

    Args:
        config: the ``metrics`` section.
        measured: facts of the run.

    Raises:
        ConfigError: METRICS_MAX_DETS, a limit above the number of stored detections; CLASS_UNKNOWN
            or CLASS_SHARED, see `choose_class`; METRICS_CONFIDENCE, a threshold below the stored
            detections; METRICS_CLASSES, classes that restricted outputs
            never predict; KEYPOINTS_MISMATCH, see `check_keypoint_counts`; or an error of
            `snellen.metrics.tasks.load`.
    """
    load(measured.task, **config.model_dump())  # rejects unknown metrics of plugins
    if "keypoints" in task_of(measured.task).overlaps:
        check_keypoint_counts(config.kpt_sigmas, measured.keypoints, measured.true_keypoints)
    if task_of(measured.task).overlaps:
        _check_thresholds(config, measured)
    chosen = class_ids(config.classes, measured.class_names)
    scored = measured.labelled if chosen is None else frozenset(chosen)
    missing = [measured.class_names[number] for number in sorted(scored & measured.never_predicted)]
    if missing:
        raise ConfigError(
            "METRICS_CLASSES",
            f"metrics.classes: the outputs of this run are restricted (model.restrict_logits), so "
            f"that {', '.join(missing[:5])} is never predicted. Expected classes that they are "
            "restricted to. Start a new run to change them",
        )
    most, largest = measured.max_detections, config.max_dets[-1]
    # COCO's own limits name its metrics, whatever number of objects a model may find.
    if most is not None and largest > most and config.max_dets != COCO_LIMITS:
        raise ConfigError(
            "METRICS_MAX_DETS",
            f"metrics.max_dets: {largest} is above the {most} detections per image that the model "
            f"keeps. Expected at most {most}. Start a new run with model.max_detections={largest}",
        )


def operating_point_of(config: MetricsConfig, class_names: Sequence[str]) -> OperatingPoint:
    """Return the operating point of a configuration.

    Args:
        config: the ``metrics`` section.
        class_names: of the run, in the order of the class ids.

    Raises:
        ConfigError: CLASS_UNKNOWN, CLASS_SHARED: a threshold names a class that does not exist.
    """
    thresholds = Thresholds.of(config.operating_confidence, class_names)
    return OperatingPoint(
        thresholds.default, config.operating_iou, config.kpt_sigmas, thresholds.by_class
    )


def _check_thresholds(config: MetricsConfig, measured: Measured) -> None:
    thresholds = operating_point_of(config, measured.class_names).thresholds
    least = measured.min_confidence
    named = {f" of {name}": v for name, v in thresholds.named(measured.class_names).items()}
    for whose, value in {"": thresholds.default, **named}.items():
        if least is not None and value < least:
            raise ConfigError(
                "METRICS_CONFIDENCE",
                f"metrics.operating_confidence{whose}: {value:g} is below model.min_confidence, "
                f"{least:g}: less confident detections are not stored. Expected at least "
                f"{least:g}. Set metrics.operating_confidence={least:g}, or evaluate with "
                f"model.min_confidence={value:g}.",
            )


def check_keypoint_counts(
    sigmas: Sequence[float] | None, found: int | None, labelled: int | None
) -> None:
    """Check that model, dataset and ``metrics.kpt_sigmas`` have one number of keypoints.

    Args:
        sigmas: one per keypoint; None for the defaults, which fit any number.
        found: number of keypoints that the model finds; None if unknown.
        labelled: number of keypoints of the dataset's objects; None if unknown.

    Raises:
        ConfigError: KEYPOINTS_MISMATCH.
    """
    if found is not None and labelled is not None and found != labelled:
        raise ConfigError(
            "KEYPOINTS_MISMATCH",
            f"the model finds {found} keypoints per object, and the objects of the dataset have "
            f"{labelled}. Expected the same keypoints in the same order. Choose a dataset or a "
            "checkpoint with the same keypoints.",
        )
    count = labelled if found is None else found
    if sigmas is not None and count is not None and len(sigmas) != count:
        raise ConfigError(
            "KEYPOINTS_MISMATCH",
            f"metrics.kpt_sigmas has {len(sigmas)} numbers for {count} keypoints. Expected "
            f"{count}, one per keypoint in their order. Correct metrics.kpt_sigmas, or remove it "
            "for the defaults.",
        )
