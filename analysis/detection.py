"""The errors of a detection, segmentation or pose run: TIDE's buckets and confused objects."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from snellen.analysis.comparison.detected import read_detected
from snellen.analysis.operating_points.object_thresholds import scan_objects
from snellen.analysis.plots.curves import RunCurves
from snellen.analysis.plots.object_curves import object_curves
from snellen.analysis.record import AnalysisRecord, Parts, RunFiles
from snellen.metrics.class_filter import class_ids
from snellen.metrics.detection.counting import error_state
from snellen.metrics.detection.curves import tide_of
from snellen.metrics.detection.operating_point import ranked_classes
from snellen.metrics.detection.options import options_of
from snellen.metrics.detection.rules import Matched
from snellen.metrics.detection.state import OverlapState
from snellen.metrics.detection.tide import BUCKETS
from snellen.metrics.errors.counts import BucketCounts, BucketSummary
from snellen.metrics.errors.listing import (
    confident_matches,
    confusion_listing,
    errors_of,
    listing_columns,
)
from snellen.metrics.matching.thresholds import Thresholds
from snellen.metrics.tasks import task_of
from snellen.pipelines.config.loader import build_config
from snellen.pipelines.runs.reading.operating import operating_point


class DetectionErrors:
    """The errors of a run with objects; see `snellen.analysis.record.RunErrors`.

    The settings of the run's metrics apply: a rescored run with another operating point has
    other cells.
    """

    has_background = True

    def __init__(self, files: RunFiles) -> None:
        self._files = files
        overlaps = task_of(files.owner.task_type).overlaps
        metrics = build_config(files.run.config).metrics
        names = files.owner.class_names or ()
        chosen = class_ids(metrics.classes, names)
        self._options = options_of(
            overlaps, class_ids=chosen, class_names=names, **metrics.model_dump()
        )

    def summary(self, min_confidence: float | None, top: int) -> BucketSummary:
        """Count the errors of each bucket and the gain of AP; ``top`` does not apply."""
        counts, states, classes = BucketCounts(), [], len(self._files.names)
        for _, matched in self._matched(min_confidence):
            counts.add(errors_of(matched))
            states.append(error_state(matched, self._options.own, classes, self._options))
        tide = tide_of(OverlapState.merge_all(states).by_image(), classes)
        limits = self._least(min_confidence)
        buckets = counts.buckets(tide["delta_ap"])
        named = limits.named(self._files.names)
        return BucketSummary(tide["ap"], limits.default, named, buckets)

    def bucket(self, name: str, min_confidence: float | None) -> Parts:
        """List the errors of one bucket."""
        number = BUCKETS.index(name)
        for table, matched in self._matched(min_confidence):
            listing = errors_of(matched)
            yield table, listing.take(np.asarray(listing.bucket == number))

    def cells(self) -> Parts:
        """List the objects that the confusion matrix counts."""
        count = len(self._files.names)
        for table in self._files.results.iter_units(listing_columns(self._options)):
            yield table, confusion_listing(table, count, self._options)

    def curves(self) -> RunCurves:
        """Compute the data of the charts, from every stored prediction."""
        run, names, own = self._files.run, self._files.names, self._options.own
        states = [
            error_state(matched, own, len(names), self._options)
            for _, matched in self._matched(0.0)
        ]
        state = OverlapState.merge_all(states).by_image()
        whole, _ = ranked_classes(state.detections, state.by_class("counted", len(names)))
        point = operating_point(run)
        # With a threshold per class, no one place on the curve of all classes is the run's.
        confidence = None if point is None or point.class_confidences else point.confidence
        return object_curves(run.details or {}, names, whole, (self._options, confidence))

    def _matched(self, min_confidence: float | None) -> Iterator[tuple[pa.Table, Matched]]:
        count, limits = len(self._files.names), self._least(min_confidence)
        for table in self._files.results.iter_units(listing_columns(self._options)):
            yield table, confident_matches(table, count, self._options, limits)

    def _least(self, min_confidence: float | None) -> Thresholds:
        if min_confidence is None:
            return self._options.thresholds
        return Thresholds(min_confidence)


DETECTION = AnalysisRecord(
    errors=DetectionErrors, compare=read_detected, worst_first="fn", thresholds=scan_objects
)
