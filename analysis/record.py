"""The record of a task: the errors of a finished run and how to list them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from snellen.analysis.comparison.disagreements import Disagreements
from snellen.analysis.comparison.pairing import Pair
from snellen.analysis.comparison.rows import Row
from snellen.analysis.plots.curves import RunCurves
from snellen.metrics.errors.counts import BucketSummary, MistakeSummary
from snellen.metrics.errors.instance_views import Listed
from snellen.metrics.statistics.draws import Blocks
from snellen.store.parquet.results import Results
from snellen.store.views import RunView

if TYPE_CHECKING:
    from snellen.analysis.operating_points.threshold_scan import ThresholdScan

Parts = Iterator[tuple[pa.Table, Listed]]
"""Per result file: its rows, and the instances found in them."""


@dataclass(frozen=True, slots=True)
class RunFiles:
    """A completed run with its result files.

    Attributes:
        run: the run that is asked about; a rescored run has its own metrics.
        owner: the run whose files are read.
        results: the files.
        names: K unique class names.
    """

    run: RunView
    owner: RunView
    results: Results
    names: list[str]


class RunErrors(Protocol):
    """The errors of one run.

    Attributes:
        has_background: cells of the confusion matrix may have a background class.
    """

    has_background: bool

    def summary(self, min_confidence: float | None, top: int) -> BucketSummary | MistakeSummary:
        """Count the kinds of errors; None for the confidence of the operating point.

        Raises:
            ConfigError: MIN_CONFIDENCE, a confidence where none applies.
        """

    def bucket(self, name: str, min_confidence: float | None) -> Parts:
        """List the errors of a TIDE bucket. Raises ConfigError BUCKET_TASK without buckets."""

    def cells(self) -> Parts:
        """List what the confusion matrix counts."""

    def curves(self) -> RunCurves:
        """Compute the data of the charts, from every stored prediction."""


class Compared(Protocol):
    """Two runs on their common images."""

    def metric_rows(self, seed: int = 0) -> list[Row]:
        """Return the rows of the metrics; the primary metric is the first."""

    def class_rows(self) -> list[Row]:
        """Return a row per class."""

    def contributions(self) -> npt.NDArray[np.float64]:
        """Return what each common image adds to the difference of the primary metric: (n,)."""

    def disagreements(self, images: pl.DataFrame) -> Disagreements:
        """Return the classes that both runs predict, given the common images."""


@dataclass(frozen=True, slots=True)
class AnalysisRecord:
    """Functions and facts of one task.

    Attributes:
        errors: opens the errors of a run.
        compare: reads two runs on their common images, see `snellen.analysis.comparison`.
        worst_first: the column of the result rows that sorts incorrect images, worst first, in
            descending order.
        thresholds: counts the predictions of a run at every confidence threshold.
    """

    errors: Callable[[RunFiles], RunErrors]
    compare: Callable[[Pair, Blocks], Compared]
    worst_first: str
    thresholds: Callable[[RunFiles], ThresholdScan]
