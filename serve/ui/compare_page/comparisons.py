"""Comparisons of two test runs for their page, computed once per pair and revision."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any

from cachetools import LRUCache

from snellen.adapters.errors import InputError
from snellen.analysis.comparison.compare import CompareSettings
from snellen.analysis.comparison.flips import Flips, find_flips
from snellen.analysis.comparison.pairing import pair_runs
from snellen.analysis.report.versus import versus
from snellen.store.kinds import TEST_RUN
from snellen.store.run_listing import ListQuery, list_runs
from snellen.store.runs import get_test_run
from snellen.store.sql.database import Database
from snellen.store.views import RunView

_MAX_BYTES = 256 * 2**20
_MAX_CHOICES = 500
_MAX_SLICES = 20


@dataclass(frozen=True, slots=True, eq=False)
class Comparison:
    """Two runs, what differs, and all images and objects that changed.

    Attributes:
        found: see `snellen.analysis.report.versus.versus`.
        flips: see `snellen.analysis.comparison.flips.Flips`.
    """

    a: RunView
    b: RunView
    found: dict[str, Any]
    flips: Flips

    @property
    def command(self) -> str:
        """Return the command that does the same."""
        slices = "".join(f" --slice {by}" for by in shared_slices(self.a, self.b))
        return f"snellen compare {self.a.id} {self.b.id}{slices}"

    @property
    def nbytes(self) -> int:
        """Return the memory of the lists, about."""
        return int(self.flips.images.estimated_size() + self.flips.objects.estimated_size())


class Comparisons:
    """Computes comparisons, one at a time, and keeps them. Safe to share between threads."""

    def __init__(self, db: Database, max_bytes: int = _MAX_BYTES) -> None:
        self._db = db
        self._kept: LRUCache[Any, Comparison] = LRUCache(
            max_bytes, getsizeof=lambda one: min(one.nbytes + 10_000, max_bytes)
        )
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
        found = versus(self._db, a, b, CompareSettings(slices=shared_slices(a, b)))
        return Comparison(a, b, found, find_flips(pair_runs(self._db, (a, b))))


def shared_slices(a: RunView, b: RunView) -> tuple[str, ...]:
    """Return the slices by value that both runs have, except those of many values."""
    found = []
    for run in (a, b):
        stored = (run.details or {}).get("slices") or ()
        found.append(
            [
                one["by"]
                for one in stored
                if not one.get("edges") and 0 < len(one.get("slices") or ()) <= _MAX_SLICES
            ]
        )
    return tuple(by for by in found[0] if by in found[1])


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
