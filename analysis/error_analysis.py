"""From the numbers of a run to the images behind them, reading one result file at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pyarrow as pa

from snellen.adapters.errors import ConfigError
from snellen.adapters.plugins import nearest
from snellen.adapters.types import TaskType
from snellen.analysis.class_filter import choose_class
from snellen.analysis.reader import completed_owner, open_results
from snellen.metrics.classification.confusion import unique_names
from snellen.metrics.detection.options import DetectionOptions, options_of
from snellen.metrics.detection.tide import BUCKETS
from snellen.metrics.errors.classified import CLASSIFIED_COLUMNS, classified
from snellen.metrics.errors.counts import (
    BucketCounts,
    BucketSummary,
    MistakeSummary,
    confused_pairs,
)
from snellen.metrics.errors.instance_views import Listed, of_cell
from snellen.metrics.errors.listing import Listing, confusion_listing, listing_columns, tide_listing
from snellen.metrics.errors.paging import ORDERS, InstancePage, Paging
from snellen.pipelines.config.loader import build_config
from snellen.store.parquet.results import Results
from snellen.store.sql.database import Database
from snellen.store.views import RunView

_EXAMPLES = 3


class ErrorAnalysis:
    """The errors of one completed run.

    Its metrics' settings decide: a rescore with another operating point has other cells.
    """

    def __init__(self, db: Database, run: RunView) -> None:
        """Open the run's files.

        Raises:
            InputError: RUN_NOT_COMPLETED.
        """
        owner = completed_owner(db, run)
        self._run = run
        self._results: Results = open_results(db, run)
        self._class_names = tuple(owner.class_names or ())
        self._names = unique_names(self._class_names)
        self._options: DetectionOptions | None = None
        if owner.task_type != TaskType.IMAGE_CLASSIFICATION:
            metrics = build_config(run.config).metrics
            self._options = options_of(owner.task_type, **metrics.model_dump())

    def summary(
        self, *, min_confidence: float = 0.0, top: int = 10
    ) -> BucketSummary | MistakeSummary:
        """What kinds of errors there are.

        Args:
            min_confidence: of objects; less confident predictions do not exist. 0 gives the
                counts that are stored with the run, and only they have a gain of AP.
            top: of classification: so many pairs and mistakes.

        Raises:
            ConfigError: MIN_CONFIDENCE, for a classification run.
        """
        if self._options is None:
            if min_confidence > 0:
                raise ConfigError(
                    "MIN_CONFIDENCE",
                    f"a least confidence is for objects; run {self._run.id} classifies images. "
                    "`snellen images` filters them by confidence.",
                )
            return self._mistakes(top)
        counts = BucketCounts()
        for _, listing in self._errors(self._options, min_confidence):
            counts.add(listing)
        tide = (self._run.details or {}).get("tide") or {}
        if min_confidence > 0:
            tide = {}  # the gain was computed with all predictions
        return BucketSummary(tide.get("ap"), min_confidence, counts.buckets(tide.get("delta_ap")))

    def instances(
        self,
        *,
        bucket: str | None = None,
        true: int | str | None = None,
        predicted: int | str | None = None,
        min_confidence: float = 0.0,
        sort: str = "image",
        offset: int = 0,
        limit: int = 100,
    ) -> InstancePage:
        """The errors of a TIDE bucket, or what a cell of the confusion matrix counts.

        A cell's list is exactly what the cell counts, never images that merely have both classes.

        Args:
            bucket: one of `snellen.metrics.detection.tide.BUCKETS`.
            true: of a cell: a class by name or id; of objects also ``background``. None is every
                class: with ``predicted`` alone it is the whole column.
            predicted: likewise; with ``true`` alone it is the whole row.
            min_confidence: of a bucket, as in `summary`; cells have the operating point's.
            sort: ``image`` or ``confidence``, the surest first.
            offset: leave out so many first.
            limit: at most so many.

        Raises:
            ConfigError: INSTANCES_OF, neither a bucket nor a cell or both; BUCKET_TASK,
                BUCKET_UNKNOWN, CLASS_UNKNOWN, CLASS_SHARED, MIN_CONFIDENCE, SORT_ORDER.
        """
        if (bucket is None) == (true is None and predicted is None):
            raise ConfigError(
                "INSTANCES_OF",
                "expected either a bucket, or the true or the predicted class of a cell of the "
                f"confusion matrix, got {'neither' if bucket is None else 'both'}.",
            )
        if bucket is not None:
            return self._page(self._of_bucket(bucket, min_confidence), sort, offset, limit)
        if min_confidence > 0:
            raise ConfigError(
                "MIN_CONFIDENCE",
                "a least confidence is for buckets; the confusion matrix has that of the operating "
                "point. `snellen rescore RUN metrics.operating_confidence=...` makes another.",
            )
        row, column = self._class(true, "true class"), self._class(predicted, "predicted class")
        parts = ((table, part.take(of_cell(part, row, column))) for table, part in self._cells())
        return self._page(parts, sort, offset, limit)

    def _of_bucket(self, name: str, confidence: float) -> Iterator[tuple[pa.Table, Listing]]:
        number = _bucket_number(name)
        if self._options is None:
            raise ConfigError(
                "BUCKET_TASK",
                f"bucket {name}: run {self._run.id} classifies images; buckets are errors of "
                "detection, segmentation and poses. Choose a cell of the confusion matrix by its "
                "true and predicted class instead.",
            )
        for table, listing in self._errors(self._options, confidence):
            yield table, listing.take(np.asarray(listing.bucket == number))

    def _class(self, wanted: int | str | None, where: str) -> int | None:
        if wanted is None:
            return None
        objects = self._options is not None
        return choose_class(wanted, self._class_names, where=where, background=objects)

    def _page(
        self, parts: Iterator[tuple[pa.Table, Listed]], sort: str, offset: int, limit: int
    ) -> InstancePage:
        order = next((order for order in ORDERS if order == sort), None)
        if order is None:
            raise ConfigError(
                "SORT_ORDER",
                f"expected an order of {', '.join(ORDERS)}, got {sort!r}{nearest(sort, ORDERS)}",
            )
        paging = Paging(offset, limit, order)
        for table, listed in parts:
            paging.add(listed, table, self._names)
        return paging.page()

    def _errors(
        self, options: DetectionOptions, confidence: float
    ) -> Iterator[tuple[pa.Table, Listing]]:
        count = len(self._names)
        for table in self._results.iter_units(listing_columns(options)):
            yield table, tide_listing(table, count, options, confidence=confidence)

    def _cells(self) -> Iterator[tuple[pa.Table, Listed]]:
        if self._options is None:
            for table in self._results.iter_units(CLASSIFIED_COLUMNS):
                yield table, classified(table)
            return
        count = len(self._names)
        for table in self._results.iter_units(listing_columns(self._options)):
            yield table, confusion_listing(table, count, self._options)

    def _mistakes(self, top: int) -> MistakeSummary:
        pairs = confused_pairs(self._run.confusion_matrix, self._names, top)
        surest = Paging(0, top, "confidence")
        examples = [Paging(0, _EXAMPLES, "confidence") for _ in pairs]
        for table in self._results.iter_units(CLASSIFIED_COLUMNS):
            found = classified(table)
            wrong = found.take(found.wrong)
            surest.add(wrong, table, self._names)
            for pair, paging in zip(pairs, examples, strict=True):
                chosen = wrong.take(of_cell(wrong, pair.true_id, pair.predicted_id))
                paging.add(chosen, table, self._names)
        shown = [
            replace(pair, examples=paging.page().instances)
            for pair, paging in zip(pairs, examples, strict=True)
        ]
        page = surest.page()
        return MistakeSummary(page.total, shown, page.instances)


def _bucket_number(name: str) -> int:
    if name not in BUCKETS:
        raise ConfigError(
            "BUCKET_UNKNOWN",
            f"expected a bucket of {', '.join(BUCKETS)}, got {name!r}"
            f"{nearest(name.capitalize(), BUCKETS)}",
        )
    return BUCKETS.index(name)
