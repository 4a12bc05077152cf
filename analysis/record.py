"""The record of a task: the errors of a finished run and how to list them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

import pyarrow as pa

from snellen.metrics.errors.counts import BucketSummary, MistakeSummary
from snellen.metrics.errors.instance_views import Listed
from snellen.store.parquet.results import Results
from snellen.store.views import RunView

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


@dataclass(frozen=True, slots=True)
class AnalysisRecord:
    """Functions and facts of one task.

    Attributes:
        errors: opens the errors of a run.
        worst_first: the column of the result rows that sorts incorrect images, worst first, in
            descending order.
    """

    errors: Callable[[RunFiles], RunErrors]
    worst_first: str
