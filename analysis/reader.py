"""Reader of stored runs: the ledger, the result files, and their integrity."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from snellen.adapters.errors import InputError, RunError
from snellen.pipelines.runs.finish import results_folder
from snellen.pipelines.runs.reading.failures import FailureReason, failure_reasons
from snellen.pipelines.runs.reading.ground_truth import KEY, corrected_folder
from snellen.pipelines.runs.reading.operating import operating_results
from snellen.store.kinds import INFERENCE_JOB, TEST_RUN
from snellen.store.ledger import committed_units
from snellen.store.parquet.results import Results
from snellen.store.parquet.unit_files import UnitProblem, verify_units
from snellen.store.parquet.unit_record import UnitRecord
from snellen.store.runs import get_test_run
from snellen.store.sql.database import Database
from snellen.store.views import AnyRun, InferenceJobView, RunView


def open_results(db: Database, run: AnyRun) -> Results:
    """Return a reader of the result rows of a test run or an inference job.

    The matches of a detector are those at the run's own operating point, see
    `snellen.pipelines.runs.reading.operating`.

    Raises:
        RunError: RUN_NOT_STARTED, a test run without a results folder.
    """
    if isinstance(run, InferenceJobView) and run.results_dir is None:
        return Results(Path(), [])  # a recorded HTTP request has a row in SQL and no files
    owner = owner_of(db, run)
    return operating_results(results_folder(owner), _ledger(db, run), (run, owner))


def unit_files(db: Database, run: AnyRun) -> list[Path]:
    """Return the absolute paths of the result files of a run, in unit order."""
    records = _ledger(db, run)
    if not records:
        return []
    folder = results_folder(owner_of(db, run))
    return [folder / record.file for record in records]


def failures_of(db: Database, run: AnyRun) -> list[FailureReason]:
    """Return the reasons of the failed images of a run; none where its files are missing."""
    if not run.failed_images:
        return []
    with suppress(RunError):
        return failure_reasons(open_results(db, run))
    return []


def verify_run(db: Database, run: AnyRun) -> tuple[int, list[UnitProblem]]:
    """Hash the result files of a run again and compare them with the ledger.

    Returns:
        The number of files, and the files that differ.
    """
    records = _ledger(db, run)
    if not records:
        return 0, []
    labels = _labels(run)
    problems = verify_units(results_folder(owner_of(db, run)), records)
    folder = corrected_folder(run)
    if folder is not None:
        problems += verify_units(folder, labels)
    return len(records) + len(labels), problems


def _labels(run: AnyRun) -> list[UnitRecord]:
    """Return the files with corrected labels of a run as records."""
    stored = ((run.resolved or {}).get(KEY) or {}).get("sha256") or {}
    return [
        UnitRecord(-1, 0, 0, name, digest, 0, 0, "", "", {}, {})
        for name, digest in sorted(stored.items())
    ]


def completed_owner(db: Database, run: RunView) -> RunView:
    """Return the test run whose files ``run`` reads: itself, or the run that it rescored.

    Raises:
        InputError: RUN_NOT_COMPLETED.
    """
    owner = run if run.results_of is None else get_test_run(db, run.results_of)
    if owner.status != "completed":
        raise InputError(
            "RUN_NOT_COMPLETED",
            f"run {owner.id} is {owner.status}. Expected a completed run. Resume it first: "
            f"snellen resume {owner.id}",
        )
    return owner


def owner_of(db: Database, run: AnyRun) -> AnyRun:
    """Return the run whose files a run reads: itself, or the run that it rescored."""
    if isinstance(run, RunView) and run.results_of is not None:
        return get_test_run(db, run.results_of)
    return run


def _ledger(db: Database, run: AnyRun) -> list[UnitRecord]:
    kind = INFERENCE_JOB if isinstance(run, InferenceJobView) else TEST_RUN
    return committed_units(db, kind, owner_of(db, run).id)
