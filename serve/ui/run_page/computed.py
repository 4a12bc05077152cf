"""Numbers of runs that need every result file: computed once, then kept in memory."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from cachetools import LRUCache

from snellen.analysis.error_analysis import ErrorAnalysis
from snellen.analysis.plots.curves import RunCurves
from snellen.metrics.detection.operating_point import CONFIDENCES
from snellen.metrics.errors.counts import BucketSummary, MistakeSummary
from snellen.pipelines.runs.reading.operating import with_threshold
from snellen.serve.api.runs.images import OpenedRun
from snellen.store.sql.database import Database
from snellen.store.views import RunView

_MAX_KEPT = 64
_SOON = 500
"""Images of a run whose numbers are computed while the page is made; others follow the page."""
_TOP_PAIRS = 20
Ints = npt.NDArray[np.int64]
T = TypeVar("T")


@dataclass(frozen=True, slots=True, eq=False)
class Counts:
    """Cumulative counts of predictions at the confidences 0, .01, ... 1.

    Attributes:
        tp, fp: int64, (101,), true and false positives at or above each confidence.
        support: number of true objects.
        least: minimum confidence of stored predictions; what a lower threshold counts is unknown.
    """

    tp: Ints
    fp: Ints
    support: int
    least: float


class Computed:
    """Computes and keeps numbers by run and revision. Safe to share between threads."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._lock = threading.Lock()
        self._kept: LRUCache[Any, Any] = LRUCache(_MAX_KEPT)
        self._building = threading.Lock()

    def is_ready(self, opened: OpenedRun, *names: str | tuple[str, float]) -> bool:
        """Return True if numbers of a run are known or quickly computed.

        Args:
            opened: the run.
            names: of the methods: ``errors``, ``curves``, ``counts``, with the threshold where
                they have one.
        """
        if (opened.run.total_images or 0) <= _SOON:
            return True
        with self._lock:
            return all((opened.key, name) in self._kept for name in names)

    def errors(
        self, opened: OpenedRun, min_confidence: float | None = None
    ) -> BucketSummary | MistakeSummary:
        """Count the kinds of errors.

        Args:
            opened: the run.
            min_confidence: less confident objects are ignored; None for the operating point.
        """
        run = _test_run(opened)
        name: Any = "errors" if min_confidence is None else ("errors", min_confidence)
        return self._get(
            (opened.key, name),
            lambda: ErrorAnalysis(self._db, run).summary(
                min_confidence=min_confidence, top=_TOP_PAIRS
            ),
        )

    def matrix(self, opened: OpenedRun, confidence: float) -> list[list[int]]:
        """Count the confusion matrix of objects at a confidence threshold."""
        run = with_threshold(_test_run(opened), confidence)
        return self._get(
            (opened.key, ("matrix", confidence)),
            lambda: ErrorAnalysis(self._db, run).confusion_matrix(),
        )

    def curves(self, opened: OpenedRun) -> RunCurves:
        """Compute the curves of a run."""
        run = _test_run(opened)
        return self._get((opened.key, "curves"), lambda: ErrorAnalysis(self._db, run).curves())

    def counts(self, opened: OpenedRun) -> Counts:
        """Count the objects of a run at every threshold."""
        run = _test_run(opened)
        return self._get((opened.key, "counts"), lambda: _counts(ErrorAnalysis(self._db, run)))

    def _get(self, key: Any, make: Callable[[], T]) -> T:
        with self._lock:
            if key in self._kept:
                found: T = self._kept[key]
                return found
        with self._building:  # one at a time: each reads every file of a run
            with self._lock:
                if key in self._kept:
                    found = self._kept[key]
                    return found
            made = make()
            with self._lock:
                self._kept[key] = made
        return made


def _test_run(opened: OpenedRun) -> RunView:
    assert isinstance(opened.run, RunView)
    return opened.run


def _counts(analysis: ErrorAnalysis) -> Counts:
    scan = analysis.thresholds()
    found = [scan.whole.counts(float(value)) for value in CONFIDENCES]
    right, made = np.array(found, dtype=np.int64).T
    return Counts(right, made - right, scan.whole.total, scan.least)
