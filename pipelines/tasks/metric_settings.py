"""Checks of the ``metrics`` settings against the model, before any image is scored."""

from __future__ import annotations

from dataclasses import dataclass

from snellen.adapters.errors import ConfigError
from snellen.adapters.types import TaskType
from snellen.metrics.class_filter import class_ids
from snellen.metrics.detection.options import COCO_LIMITS
from snellen.metrics.tasks import load
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
    """

    task: TaskType | str
    class_names: tuple[str, ...]
    max_detections: int | None = None
    labelled: frozenset[int] = frozenset()
    never_predicted: frozenset[int] = frozenset()


def check_metric_settings(config: MetricsConfig, measured: Measured) -> None:
    """Reject settings that the metrics of a run cannot be computed with.

    Args:
        config: the ``metrics`` section.
        measured: facts of the run.

    Raises:
        ConfigError: METRICS_MAX_DETS, a limit above the number of stored detections; CLASS_UNKNOWN
            or CLASS_SHARED, see `choose_class`; METRICS_CLASSES, classes that restricted outputs
            never predict; or an error of `snellen.metrics.tasks.load`.
    """
    load(measured.task, **config.model_dump())  # rejects unknown metrics of plugins
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
