"""Comparisons of two test runs for their page, computed once per pair and revision."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any

import polars as pl
from cachetools import LRUCache

from snellen.adapters.errors import InputError
from snellen.analysis.comparison.flips import find_flips
from snellen.analysis.comparison.pairing import pair_runs
from snellen.analysis.report.versus import versus
from snellen.store.kinds import TEST_RUN
from snellen.store.run_listing import ListQuery, list_runs
from snellen.store.runs import get_test_run
from snellen.store.sql.database import Database
from snellen.store.views import RunView

_MAX_KEPT = 64
_MAX_CHOICES = 500
TILES = 12
"""Changed images of each kind on the page."""


@dataclass(frozen=True, slots=True)
class ChangedImage:
    """An image that is correct in one of the runs only, and its place in both."""

    image_id: str
    index_a: int
    index_b: int


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two runs, what differs, and the first images that changed.

    Attributes:
        found: see `snellen.analysis.report.versus.versus`.
        changed: ``broken`` and ``fixed`` images.
    """

    a: RunView
    b: RunView
    found: dict[str, Any]
    changed: dict[str, list[ChangedImage]]

    @property
    def command(self) -> str:
        """Return the command that does the same."""
        return f"snellen compare {self.a.id} {self.b.id}"


class Comparisons:
    """Computes comparisons, one at a time, and keeps them. Safe to share between threads."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._kept: LRUCache[Any, Comparison] = LRUCache(_MAX_KEPT)
        self._computing = threading.Lock()

    def pair(self, a: str, b: str) -> tuple[RunView, RunView]:
        """Return two completed test runs, by id, tag or name.

        Raises:
            InputError: RUN_NOT_FOUND; RUN_NOT_COMPLETED.
        """
        runs = get_test_run(self._db, a), get_test_run(self._db, b)
        for run in runs:
            if run.status != "completed":
                raise InputError(
                    "RUN_NOT_COMPLETED",
                    f"run {run.id} is {run.status}. Expected completed runs.",
                )
        return runs

    def of(self, a: RunView, b: RunView) -> Comparison:
        """Compare two runs.

        Raises:
            InputError: COMPARE_TASK, COMPARE_NOTHING and others of `compare_runs`.
        """
        key = tuple((run.id, run.created_at, run.revision) for run in (a, b))
        with self._computing:
            if key not in self._kept:
                self._kept[key] = self._compute(a, b)
            return self._kept[key]

    def _compute(self, a: RunView, b: RunView) -> Comparison:
        found = versus(self._db, a, b)
        images = find_flips(pair_runs(self._db, (a, b))).images
        changed = {
            kind: [
                ChangedImage(str(row["image_id"]), int(row["index_a"]), int(row["index_b"]))
                for row in images.filter(pl.col("kind") == kind)
                .sort("index_b")
                .head(TILES)
                .iter_rows(named=True)
            ]
            for kind in ("broken", "fixed")
        }
        return Comparison(a, b, found, changed)


def run_choices(db: Database) -> list[tuple[int, str]]:
    """Return the completed test runs to choose from, newest first: id and label."""
    query = ListQuery(kind=TEST_RUN, status="completed")
    choices = []
    for entry in list_runs(db, query, limit=_MAX_CHOICES):
        run = entry.run
        assert isinstance(run, RunView)
        name, value = run.primary_metric_name, run.primary_metric_value
        metric = f" · {name} {value:.3f}" if value is not None else ""
        choices.append((run.id, f"{run.id} · {run.name or entry.job_name}{metric}"))
    return choices
