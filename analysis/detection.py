"""The errors of a detection, segmentation or pose run: TIDE's buckets and confused objects."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from snellen.analysis.record import AnalysisRecord, Parts, RunFiles
from snellen.metrics.class_filter import class_ids
from snellen.metrics.detection.options import options_of
from snellen.metrics.detection.tide import BUCKETS
from snellen.metrics.errors.counts import BucketCounts, BucketSummary
from snellen.metrics.errors.listing import Listing, confusion_listing, listing_columns, tide_listing
from snellen.metrics.tasks import task_of
from snellen.pipelines.config.loader import build_config


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
        chosen = class_ids(metrics.classes, files.owner.class_names or ())
        self._options = options_of(overlaps, class_ids=chosen, **metrics.model_dump())

    def summary(self, min_confidence: float, top: int) -> BucketSummary:
        """Count the errors of each bucket; ``top`` does not apply."""
        counts = BucketCounts()
        for _, listing in self._errors(min_confidence):
            counts.add(listing)
        tide = (self._files.run.details or {}).get("tide") or {}
        if min_confidence > 0:
            tide = {}  # the gain was computed with all predictions
        return BucketSummary(tide.get("ap"), min_confidence, counts.buckets(tide.get("delta_ap")))

    def bucket(self, name: str, min_confidence: float) -> Parts:
        """List the errors of one bucket."""
        number = BUCKETS.index(name)
        for table, listing in self._errors(min_confidence):
            yield table, listing.take(np.asarray(listing.bucket == number))

    def cells(self) -> Parts:
        """List the objects that the confusion matrix counts."""
        count = len(self._files.names)
        for table in self._files.results.iter_units(listing_columns(self._options)):
            yield table, confusion_listing(table, count, self._options)

    def _errors(self, min_confidence: float) -> Iterator[tuple[pa.Table, Listing]]:
        count = len(self._files.names)
        for table in self._files.results.iter_units(listing_columns(self._options)):
            yield table, tide_listing(table, count, self._options, confidence=min_confidence)


DETECTION = AnalysisRecord(errors=DetectionErrors, worst_first="fn")
