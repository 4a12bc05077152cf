"""Units that come back are committed, others are scored again, and problems stop the run."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from snellen.adapters.errors import RunError
from snellen.pipelines.config.base import MaxFailed
from snellen.pipelines.execution.engine import Engine
from snellen.pipelines.execution.worker.spec import UnitOutcome
from snellen.pipelines.planning.units import Unit, make_units
from snellen.pipelines.progress import Reporter
from snellen.pipelines.runs.commit_loop import CommitLoop, Tally
from snellen.pipelines.runs.evaluation import EVALUATION
from snellen.pipelines.runs.kinds import RunContext
from snellen.pipelines.runs.ownership import Heartbeat, OwnedRun
from snellen.store.jobs import TrainingJobRecord, upsert_training_job
from snellen.store.leases import Beat, Lease, LeaseLost, acquire, release
from snellen.store.ledger import committed_units
from snellen.store.parquet.unit_record import UnitRecord
from snellen.store.runs import create_test_run
from snellen.store.sql.database import Database
from tests.pipelines.making import pixel_config

UNITS = make_units(58, 6)


def outcome(unit: Unit, *, failed: int = 0, error: tuple[str, str] | None = None) -> UnitOutcome:
    if error is not None:
        return UnitOutcome(unit.unit_id, error=error)
    record = UnitRecord(
        unit.unit_id, unit.start, unit.stop, file=f"units/{unit.unit_id}.parquet", sha256="0" * 64,
        rows=unit.rows, failed=failed, attempt="a", worker="w", timings={},
        counts={"labelled": float(unit.rows), "correct": 3.0},
    )  # fmt: skip
    return UnitOutcome(unit.unit_id, record)


class FakeEngine(Engine):
    """Loses the units that ``lost`` names, the first so many times each."""

    def __init__(
        self, lost: dict[int, int] | None = None, make: Callable[[Unit], UnitOutcome] = outcome
    ) -> None:
        self.lost = dict(lost or {})
        self.make = make
        self.passes: list[list[int]] = []
        self.alone: list[int] = []
        self.stopped = 0

    def score(self, units: Sequence[Unit]) -> Iterator[UnitOutcome]:
        self.passes.append([unit.unit_id for unit in units])
        for unit in reversed(units):
            if self.lost.get(unit.unit_id, 0) > 0:
                self.lost[unit.unit_id] -= 1
            else:
                yield self.make(unit)

    def score_alone(self, unit: Unit) -> UnitOutcome:
        self.alone.append(unit.unit_id)
        return self.make(unit)

    def stop(self) -> None:
        self.stopped += 1


class Told(Reporter):
    def __init__(self) -> None:
        self.begun: list[tuple[int, int]] = []
        self.advanced: list[tuple[int, int, tuple[str, float] | None]] = []
        self.ended = 0

    def begin(self, total: int, done: int) -> None:
        self.begun.append((total, done))

    def advance(self, rows: int, failed: int, metric: tuple[str, float] | None) -> None:
        self.advanced.append((rows, failed, metric))

    def end(self) -> None:
        self.ended += 1


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    database = Database.open(f"sqlite:///{tmp_path / 'runs.db'}")
    yield database
    database.close()


@pytest.fixture
def lease(db: Database) -> Lease:
    job = upsert_training_job(
        db,
        TrainingJobRecord(
            name="j",
            framework="timm",
            task_type="image_classification",
            model_name="m",
            output_dir="/m",
            class_names=None,
            num_classes=None,
            config=None,
        ),
    )
    run = create_test_run(
        db, training_job_id=job.id, checkpoint_path="/m", dataset_path="/d",
        task_type="image_classification",
    )  # fmt: skip
    return acquire(db, "test_run", run)


def driven(
    db: Database, lease: Lease, engine: FakeEngine, max_failed: MaxFailed | None = None
) -> Told:
    told = Told()
    config = pixel_config(Path(), run={"max_failed": max_failed})
    with Heartbeat(db, lease) as heart:
        owned = OwnedRun(RunContext(EVALUATION, config, db, told), lease, heart)
        CommitLoop(owned, engine).run(UNITS)
    return told


def committed(db: Database, lease: Lease) -> list[int]:
    return [record.unit_id for record in committed_units(db, lease.kind, lease.run_id)]


ALL = [unit.unit_id for unit in UNITS]


def test_every_unit_is_committed_once_in_any_order(db: Database, lease: Lease) -> None:
    engine = FakeEngine()
    told = driven(db, lease, engine)
    assert committed(db, lease) == ALL
    assert (engine.passes, engine.alone, engine.stopped) == ([ALL], [], 1)
    assert (told.begun, told.ended) == ([(58, 0)], 1)
    assert sum(rows for rows, _, _ in told.advanced) == 58
    name, value = told.advanced[-1][2] or ("", 0.0)
    assert name == "accuracy"
    assert value == pytest.approx(30 / 58)


def test_what_is_committed_is_not_scored_again(db: Database, lease: Lease) -> None:
    with pytest.raises(RunError):
        driven(
            db,
            lease,
            FakeEngine(make=lambda u: outcome(u, error=("E", "e") if u.unit_id == 6 else None)),
        )
    assert committed(db, lease) == [7, 8, 9]
    engine = FakeEngine()
    told = driven(db, lease, engine)
    assert engine.passes == [[0, 1, 2, 3, 4, 5, 6]]
    assert told.begun == [(58, 16)]


def test_a_few_lost_units_are_scored_alone(db: Database, lease: Lease) -> None:
    engine = FakeEngine({2: 9, 5: 9, 7: 9, 9: 9})
    driven(db, lease, engine)
    assert (len(engine.passes), engine.alone) == (1, [2, 5, 7, 9])
    assert committed(db, lease) == ALL


def test_many_lost_units_are_tried_together_once_more(db: Database, lease: Lease) -> None:
    engine = FakeEngine({0: 1, 1: 1, 2: 1, 3: 1, 4: 2})
    driven(db, lease, engine)
    assert engine.passes == [ALL, [0, 1, 2, 3, 4]]
    assert engine.alone == [4]
    assert committed(db, lease) == ALL


def test_a_unit_that_arrives_twice_counts_once(db: Database, lease: Lease) -> None:
    class Twice(FakeEngine):
        def score(self, units: Sequence[Unit]) -> Iterator[UnitOutcome]:
            for found in super().score(units):
                yield found
                yield found

    told = driven(db, lease, Twice())
    assert committed(db, lease) == ALL
    assert sum(rows for rows, _, _ in told.advanced) == 58


def test_an_outcome_with_an_error_stops_the_run(db: Database, lease: Lease) -> None:
    engine = FakeEngine(make=lambda unit: outcome(unit, error=("DISK_FULL", "no space")))
    with pytest.raises(RunError, match="no space") as caught:
        driven(db, lease, engine)
    assert caught.value.code == "DISK_FULL"
    assert committed(db, lease) == []
    assert engine.stopped == 1


@pytest.mark.parametrize(
    ("limit", "stops"),
    [(None, False), (10, False), (9, True), (0, True), (0.2, False), (0.1, True), (0.0, True)],
)
def test_max_failed_is_a_count_or_a_share(
    db: Database, lease: Lease, limit: MaxFailed | None, stops: bool
) -> None:
    engine = FakeEngine(make=lambda unit: outcome(unit, failed=1))  # 10 of 58
    if not stops:
        driven(db, lease, engine, limit)
        assert committed(db, lease) == ALL
        return
    with pytest.raises(RunError) as caught:
        driven(db, lease, engine, limit)
    assert caught.value.code == "MAX_FAILED"
    allowed = int(limit * 58) if isinstance(limit, float) else limit
    assert caught.value.message.startswith(
        f"{(allowed or 0) + 1} images failed, more than run.max_failed allows ({limit}"
    )
    assert "run.max_failed=N" in caught.value.message
    # A resume with the same limit stops at once; with a larger one it goes on.
    again = FakeEngine(make=lambda unit: outcome(unit, failed=1))
    with pytest.raises(RunError):
        driven(db, lease, again, limit)
    assert again.passes == []
    driven(db, lease, FakeEngine(), 58)
    assert committed(db, lease) == ALL


def test_a_lost_lease_stops_at_the_next_commit(db: Database, lease: Lease) -> None:
    seen: list[int] = []

    def make(unit: Unit) -> UnitOutcome:
        seen.append(unit.unit_id)
        if len(seen) == 3:
            release(db, lease, status="interrupted")
            acquire(db, lease.kind, lease.run_id)
        return outcome(unit)

    engine = FakeEngine(make=make)
    with pytest.raises(LeaseLost, match="another process has taken it over"):
        driven(db, lease, engine)
    assert committed(db, lease) == [8, 9]
    assert engine.stopped == 1


def test_the_heartbeat_notices_a_lost_lease(
    db: Database, lease: Lease, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("snellen.pipelines.runs.ownership.HEARTBEAT_SECONDS", 0.01)
    with Heartbeat(db, lease) as heart:
        heart.check()
        release(db, lease, status="interrupted")
        heart._thread.join(5)
        with pytest.raises(LeaseLost):
            heart.check()


def test_a_cancel_request_that_comes_too_late_does_no_harm(
    db: Database, lease: Lease, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("snellen.pipelines.runs.ownership.HEARTBEAT_SECONDS", 0.01)
    before = signal.getsignal(signal.SIGUSR1)

    def late(*_: object) -> Beat:
        heart._done.wait(5)  # the run has ended, and the owner waits for this thread
        time.sleep(0.2)
        return Beat.CANCEL

    monkeypatch.setattr("snellen.pipelines.runs.ownership.heartbeat", late)
    with Heartbeat(db, lease) as heart:
        time.sleep(0.1)
    assert heart.cancelled
    assert signal.getsignal(signal.SIGUSR1) is before


def counted(**counts: float) -> Tally:
    tally = Tally()
    record = outcome(UNITS[0]).record
    assert record is not None
    tally.add(replace(record, counts=counts))
    return tally


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ({"labelled": 4.0, "correct": 3.0}, ("accuracy", 0.75)),
        ({"labelled": 0.0, "correct": 0.0}, None),
        ({"labelled": 4.0, "correct": 1.0, "tp": 3.0, "fp": 1.0, "fn": 1.0}, ("f1", 0.75)),
        ({"labelled": 4.0, "correct": 4.0, "tp": 0.0, "fp": 0.0, "fn": 0.0}, None),
        ({"labelled": 4.0, "correct": 3.0, "tp": 0.0, "fp": 2.0, "fn": 0.0}, None),
    ],
    ids=["I-classes", "I-no-labels", "I-objects", "I-nothing-counts", "I-false-positives-alone"],
)
def test_the_running_metric_needs_ground_truth(
    counts: dict[str, float], expected: tuple[str, float] | None
) -> None:
    assert counted(**counts).metric == expected
