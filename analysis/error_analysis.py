"""The images and objects behind the numbers of a run, read one result file at a time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from snellen.adapters.errors import ConfigError
from snellen.adapters.plugins import nearest
from snellen.analysis.operating_points.threshold_scan import ThresholdScan
from snellen.analysis.plots.curves import RunCurves
from snellen.analysis.reader import completed_owner, open_results
from snellen.analysis.record import Parts, RunFiles
from snellen.analysis.tasks import task_of
from snellen.metrics.class_filter import choose_class
from snellen.metrics.classification.confusion import unique_names
from snellen.metrics.detection.tide import BUCKETS
from snellen.metrics.errors.counts import BucketSummary, MistakeSummary
from snellen.metrics.errors.instance_views import of_cell
from snellen.metrics.errors.paging import ORDERS, InstancePage, Paging
from snellen.store.sql.database import Database
from snellen.store.views import RunView


@dataclass(frozen=True, slots=True)
class InstanceQuery:
    """A page of the errors of a TIDE bucket, or of what a cell of the confusion matrix counts.

    Attributes:
        bucket: one of `snellen.metrics.detection.tide.BUCKETS`.
        true: of a cell: a class by name or id; of objects also ``background``. None is every
            class: with ``predicted`` alone it is the whole column.
        predicted: likewise; with ``true`` alone it is the whole row.
        min_confidence: of a bucket: less confident predictions are ignored; None for the
            confidence of the operating point, which cells always have; 0 for every stored one.
        sort: ``image`` or ``confidence``, the most confident first.
        offset: number of instances to skip.
        limit: maximum number of instances.
    """

    bucket: str | None = None
    true: int | str | None = None
    predicted: int | str | None = None
    min_confidence: float | None = None
    sort: str = "image"
    offset: int = 0
    limit: int = 100


class ErrorAnalysis:
    """The errors of one completed run.

    The settings of the run's metrics apply: a rescored run with another operating point has
    other cells.
    """

    def __init__(self, db: Database, run: RunView) -> None:
        """Open the run's files.

        Raises:
            InputError: RUN_NOT_COMPLETED.
        """
        owner = completed_owner(db, run)
        self._class_names = tuple(owner.class_names or ())
        self._names = unique_names(self._class_names)
        self._files = RunFiles(run, owner, open_results(db, run), self._names)
        self._task = task_of(owner.task_type)
        self._errors = self._task.errors(self._files)

    def summary(
        self, *, min_confidence: float | None = None, top: int = 10
    ) -> BucketSummary | MistakeSummary:
        """Count the kinds of errors.

        Args:
            min_confidence: of objects; less confident predictions are ignored. None takes the
                confidence of the run's operating point; 0 counts every stored prediction, as
                ``details["tide"]`` of the run does.
            top: of a classification run: maximum number of pairs and of mistakes.

        Raises:
            ConfigError: MIN_CONFIDENCE, for a classification run.
        """
        return self._errors.summary(min_confidence, top)

    def instances(self, query: InstanceQuery) -> InstancePage:
        """List the errors of a TIDE bucket, or what a cell of the confusion matrix counts.

        A cell's list is exactly what the cell counts, never images that merely have both classes.

        Raises:
            ConfigError: INSTANCES_OF, neither a bucket nor a cell or both; BUCKET_TASK,
                BUCKET_UNKNOWN, CLASS_UNKNOWN, CLASS_SHARED, MIN_CONFIDENCE, SORT_ORDER.
        """
        return self._page(self.listed(query), query)

    def listed(self, query: InstanceQuery) -> Parts:
        """List every error of a bucket, or all that a cell counts, one result file at a time.

        Args:
            query: its order and page do not apply.

        Raises:
            ConfigError: as `instances`.
        """
        of_bucket = query.bucket is not None
        if of_bucket == (query.true is not None or query.predicted is not None):
            raise ConfigError(
                "INSTANCES_OF",
                f"{'both' if of_bucket else 'neither'} a bucket {'and' if of_bucket else 'nor'} a "
                "cell of the confusion matrix was given. Expected either a bucket, or the true or "
                "the predicted class of a cell.",
            )
        return self._bucket(query) if query.bucket is not None else self._cell(query)

    def thresholds(self) -> ThresholdScan:
        """Count the predictions of the run at every confidence threshold."""
        return self._task.thresholds(self._files)

    def confusion_matrix(self) -> list[list[int]]:
        """Count the confusion matrix in the result files: rows are true classes.

        Returns:
            K x K for images, (K + 1) x (K + 1) for objects, the background last.
        """
        size = len(self._names) + self._errors.has_background
        counts = np.zeros((size, size), dtype=np.int64)
        for _, part in self._errors.cells():
            # The background is -1, the last row and column.
            np.add.at(counts, (part.true_class, part.predicted_class), 1)
        matrix: list[list[int]] = counts.tolist()
        return matrix

    def curves(self) -> RunCurves:
        """Compute the data of the charts, see `snellen.analysis.plots.charts`."""
        return self._errors.curves()

    def _bucket(self, query: InstanceQuery) -> Parts:
        name = query.bucket or ""
        if name not in BUCKETS:
            raise ConfigError(
                "BUCKET_UNKNOWN",
                f"bucket {name!r} is unknown. Expected one of {', '.join(BUCKETS)}"
                f"{nearest(name.capitalize(), BUCKETS) or '.'}",
            )
        return self._errors.bucket(name, query.min_confidence)

    def _cell(self, query: InstanceQuery) -> Parts:
        if query.min_confidence is not None:
            raise ConfigError(
                "MIN_CONFIDENCE",
                "a minimum confidence applies to buckets, and the confusion matrix has that of "
                "the operating point. Compute a matrix with another one: "
                "`snellen rescore RUN metrics.operating_confidence=...`.",
            )
        row = self._class(query.true, "true class")
        column = self._class(query.predicted, "predicted class")
        return (
            (table, part.take(of_cell(part, row, column))) for table, part in self._errors.cells()
        )

    def _class(self, wanted: int | str | None, where: str) -> int | None:
        if wanted is None:
            return None
        background = self._errors.has_background
        return choose_class(wanted, self._class_names, where=where, background=background)

    def _page(self, parts: Parts, query: InstanceQuery) -> InstancePage:
        order = next((order for order in ORDERS if order == query.sort), None)
        if order is None:
            raise ConfigError(
                "SORT_ORDER",
                f"order {query.sort!r} is unknown. Expected one of {', '.join(ORDERS)}"
                f"{nearest(query.sort, ORDERS) or '.'}",
            )
        paging = Paging(query.offset, query.limit, order)
        for table, listed in parts:
            paging.add(listed, table, self._names)
        return paging.page()
