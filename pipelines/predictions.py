"""Read stored inference jobs: their files, rows and pictures."""

from __future__ import annotations

from pathlib import Path

from pipelines.finishing import results_folder
from store.database import Database
from store.files import UnitProblem, verify_units
from store.kinds import INFERENCE_JOB
from store.ledger import committed_units
from store.results import Results
from store.views import InferenceJobView


def open_job_results(db: Database, job: InferenceJobView) -> Results:
    """A reader of the job's result rows.

    Raises:
        RunError: the job has no folder yet.
    """
    return Results(results_folder(job), committed_units(db, INFERENCE_JOB, job.id))


def job_files(db: Database, job: InferenceJobView) -> list[Path]:
    """Absolute paths of the job's files in unit order."""
    records = committed_units(db, INFERENCE_JOB, job.id)
    return [results_folder(job) / record.file for record in records] if records else []


def verify_job(db: Database, job: InferenceJobView) -> tuple[int, list[UnitProblem]]:
    """Hash every file of a job again: how many there are, and which differ from the ledger."""
    records = committed_units(db, INFERENCE_JOB, job.id)
    return (len(records), verify_units(results_folder(job), records)) if records else (0, [])
