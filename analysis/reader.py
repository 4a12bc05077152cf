"""Read stored test runs: the ledger, the result files, and whether they are intact."""

from __future__ import annotations

from pathlib import Path

from snellen.adapters.errors import InputError
from snellen.pipelines.runs.finish import results_folder
from snellen.store.kinds import TEST_RUN
from snellen.store.ledger import committed_units
from snellen.store.parquet.results import Results
from snellen.store.parquet.unit_files import UnitProblem, verify_units
from snellen.store.parquet.unit_record import UnitRecord
from snellen.store.runs import get_test_run
from snellen.store.sql.database import Database
from snellen.store.views import RunView


def owner_of_files(db: Database, run: RunView) -> RunView:
    """The run whose files ``run`` reads: itself, or the one that it re-scored."""
    return run if run.results_of is None else get_test_run(db, run.results_of)


def completed_owner(db: Database, run: RunView) -> RunView:
    """`owner_of_files`, of a run that is whole.

    Raises:
        InputError: RUN_NOT_COMPLETED.
    """
    owner = owner_of_files(db, run)
    if owner.status != "completed":
        raise InputError(
            "RUN_NOT_COMPLETED",
            f"run {owner.id} is {owner.status}; this needs a completed run. Resume it first: "
            f"snellen resume {owner.id}",
        )
    return owner


def ledger(db: Database, run: RunView) -> list[UnitRecord]:
    """The committed units that a run reads, in unit order."""
    return committed_units(db, TEST_RUN, owner_of_files(db, run).id)


def open_results(db: Database, run: RunView) -> Results:
    """A reader of the run's result rows.

    Raises:
        RunError: the run has no folder yet.
    """
    return Results(results_folder(owner_of_files(db, run)), ledger(db, run))


def unit_files(db: Database, run: RunView) -> list[Path]:
    """Absolute paths of the run's files in unit order."""
    records = ledger(db, run)
    if not records:
        return []
    folder = results_folder(owner_of_files(db, run))
    return [folder / record.file for record in records]


def verify_run(db: Database, run: RunView) -> tuple[int, list[UnitProblem]]:
    """Hash every file of a run again and compare with the ledger.

    Returns:
        The number of files, and what differs.
    """
    records = ledger(db, run)
    if not records:
        return 0, []
    return len(records), verify_units(results_folder(owner_of_files(db, run)), records)
