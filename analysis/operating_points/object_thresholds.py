"""Precision, recall and F1 of a detector at every confidence threshold."""

from __future__ import annotations

from typing import Any

from snellen.analysis.operating_points.threshold_scan import ThresholdScan, detected_counts
from snellen.analysis.record import RunFiles
from snellen.analysis.rescore import measured_of
from snellen.metrics.class_filter import class_ids
from snellen.metrics.confidence_curve import ConfidenceCurve
from snellen.metrics.detection.operating_point import Ranked, ranked_classes
from snellen.metrics.tasks import load, task_of
from snellen.pipelines.config.loader import build_config


def scan_objects(files: RunFiles) -> ThresholdScan:
    """Count the objects of a run at every threshold, by the task's own overlap.

    A match does not depend on less confident predictions, so that the counts at a threshold are
    those of a run that is rescored there.
    """
    task, names = files.owner.task_type, files.names
    config = build_config(files.run.config).metrics
    options: dict[str, Any] = {**config.model_dump(), "bootstrap": 0, "extra": (), "group": None}
    metrics = load(task, **options)
    units = files.results.iter_units(list(metrics.columns))
    state = metrics.merge([metrics.state(table, names) for table in units])
    own = state.overlaps[task_of(task).overlaps[-1]].by_image()
    whole, classes = ranked_classes(own.detections, own.by_class("counted", len(names)))
    chosen = class_ids(config.classes, names)
    return ThresholdScan(
        keys=("precision", "recall", "f1"),
        best=("f1",),
        whole=_curve(whole),
        classes={
            names[number]: _curve(classes[number])
            for number in (range(len(names)) if chosen is None else chosen)
        },
        count=detected_counts,
        least=measured_of(files.owner).min_confidence or 0.0,
    )


def _curve(ranked: Ranked) -> ConfidenceCurve:
    return ConfidenceCurve.of(ranked.confidence, ranked.right, ranked.support)
