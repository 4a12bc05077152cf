"""Commit the units that come back from the engine; score again those that do not."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from snellen.adapters.errors import RunError
from snellen.pipelines.execution.engine import Engine
from snellen.pipelines.execution.worker.spec import UnitOutcome
from snellen.pipelines.planning.units import Unit, without
from snellen.pipelines.runs.ownership import OwnedRun
from snellen.pipelines.runs.reading.operating import counts_as_stored
from snellen.store.ledger import commit_unit, committed_units, supersede_unit
from snellen.store.parquet.unit_record import UnitRecord

_ALONE_AT_MOST = 4
"""If more units are missing, they are scored together once more first: a node may have died."""


@dataclass(slots=True)
class Tally:
    """Running totals of the committed units, for the progress line and the failure limit.

    Attributes:
        measured: the metrics count as the result files do, so that there is a running metric.
    """

    measured: bool = True
    rows: int = 0
    failed: int = 0
    labelled: float = 0.0
    correct: float = 0.0
    tp: float = 0.0
    fp: float = 0.0
    fn: float = 0.0
    counts_objects: bool = False

    def add(self, record: UnitRecord) -> None:
        """Count one committed unit."""
        self.rows += record.rows
        self.failed += record.failed
        self.labelled += record.counts.get("labelled", 0.0)
        self.correct += record.counts.get("correct", 0.0)
        self.tp += record.counts.get("tp", 0.0)
        self.fp += record.counts.get("fp", 0.0)
        self.fn += record.counts.get("fn", 0.0)
        self.counts_objects |= "tp" in record.counts

    @property
    def metric(self) -> tuple[str, float] | None:
        """The running metric, from the commit records: F1 where objects are counted.

        Once every unit is committed it is the metric of the run with the same name. None without
        ground truth: no object counts, or no image has a label.
        """
        if not self.measured:
            return None
        if self.counts_objects:
            true, wrong = self.tp + self.fn, self.fp + self.fn
            return ("f1", 2 * self.tp / (2 * self.tp + wrong)) if true else None
        return ("accuracy", self.correct / self.labelled) if self.labelled else None


@dataclass(frozen=True, slots=True)
class CommitLoop:
    """Scores the units of a run with an engine and commits them to the ledger.

    Attributes:
        owned: the run.
        engine: scores its units.
        former: current records, by unit, that are superseded because their failed images are
            scored again.
        revision: of the run once one of them is superseded.
    """

    owned: OwnedRun
    engine: Engine
    former: Mapping[int, UnitRecord] = field(default_factory=dict)
    revision: int = 0

    def run(self, units: Sequence[Unit]) -> None:
        """Score and commit every unit that the ledger does not hold yet.

        Raises:
            RunError: a worker's problem, MAX_FAILED, LEASE_LOST, or Ray's failure. Whatever
                was committed stays, and the run can be resumed.
        """
        tally = Tally(measured=counts_as_stored(self.owned.row()))
        lease, reporter = self.owned.lease, self.owned.context.reporter
        committed = committed_units(self.owned.context.db, lease.kind, lease.run_id)
        done = [record for record in committed if record.unit_id not in self.former]
        for record in done:
            tally.add(record)
        todo = without(units, (record.unit_id for record in done))
        total = sum(unit.rows for unit in units)
        reporter.begin(total, tally.rows)
        try:
            self._check_failed(tally, total)
            todo = self._pass(todo, tally, total)
            if len(todo) > _ALONE_AT_MOST:
                reporter.status(f"Scoring {len(todo)} units again that did not come back")
                todo = self._pass(todo, tally, total)
            for unit in todo:
                reporter.status(
                    f"Looking for the image that killed the worker of unit {unit.unit_id}"
                )
                self._commit(self.engine.score_alone(unit), tally, total)
        finally:
            self.engine.stop()
            reporter.end()

    def _pass(self, units: Sequence[Unit], tally: Tally, total: int) -> list[Unit]:
        """Score ``units`` once and return those that never came back."""
        arrived: set[int] = set()
        outcomes = self.engine.score(units)
        for outcome in outcomes:
            self._commit(outcome, tally, total)
            arrived.add(outcome.unit_id)
        return without(units, arrived)

    def _commit(self, outcome: UnitOutcome, tally: Tally, total: int) -> None:
        self.owned.heart.check()
        record = outcome.result()
        if self._store(record):
            tally.add(record)
            self.owned.context.reporter.advance(record.rows, tally.failed, tally.metric)
        self._check_failed(tally, total)

    def _store(self, record: UnitRecord) -> bool:
        db, lease = self.owned.context.db, self.owned.lease
        former = self.former.get(record.unit_id)
        if former is None:
            return commit_unit(db, lease, record)
        return supersede_unit(db, lease, record, replaces=former.attempt, revision=self.revision)

    def _check_failed(self, tally: Tally, total: int) -> None:
        limit = self.owned.context.config.run.max_failed
        if limit is None:
            return
        allowed = math.floor(limit * total) if isinstance(limit, float) else limit
        if tally.failed > allowed:
            words, run_id = self.owned.context.kind.words, self.owned.lease.run_id
            raise RunError(
                "MAX_FAILED",
                f"{tally.failed} images failed, more than run.max_failed allows ({limit}"
                + (f" of {total} = {allowed}" if isinstance(limit, float) else "")
                + f"). List them with `{words.failures.format(run_id)}`; resume "
                f"with `{words.resume.format(run_id)} run.max_failed=N`.",
            )
