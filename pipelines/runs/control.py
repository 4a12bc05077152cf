"""Cancel and delete runs, inference jobs and training jobs."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from snellen.adapters.errors import InputError
from snellen.pipelines.runs.evaluation import EVALUATION
from snellen.pipelines.runs.kinds import RunKind
from snellen.pipelines.runs.prediction import PREDICTION
from snellen.pipelines.runs.reading.ground_truth import corrected_folder
from snellen.pipelines.runs.run_folder import uploads_of
from snellen.store.jobs import delete_training_job
from snellen.store.leases import request_cancel
from snellen.store.runs import delete_run, list_inference_jobs, list_test_runs, runs_that_read
from snellen.store.sql.database import Database
from snellen.store.tags import tags_of
from snellen.store.views import AnyRun, JobView, RunView

_POLL_SECONDS = 0.2
_EVERYTHING = 1_000_000


def cancel_run(
    db: Database,
    kind: RunKind,
    reference: int | str,
    *,
    timeout: float = 60.0,
    waiting: Callable[[], None] = lambda: None,
) -> AnyRun:
    """Cancel a run, and wait until its owner has stopped; it can be resumed later.

    Args:
        db: the open database.
        kind: the kind of run.
        reference: id, name or ``latest``.
        timeout: seconds to wait for the owner. It keeps the request and stops when it can.
        waiting: called once if there is an owner to wait for.

    Returns:
        The run's row: ``cancelled``; or ``running`` with ``cancel_requested`` after the timeout;
        or how the run ended if it was quicker.

    Raises:
        InputError: RUN_NOT_FOUND; RUN_COMPLETED, there is nothing to cancel.
    """
    run: AnyRun = kind.get(db, reference)
    if request_cancel(db, kind.name, run.id) == "running":
        waiting()
        until = time.monotonic() + timeout
        while time.monotonic() < until and kind.get(db, run.id).status == "running":
            time.sleep(_POLL_SECONDS)
    found: AnyRun = kind.get(db, run.id)
    return found


@dataclass(frozen=True, slots=True)
class Deletion:
    """Rows and folders that are deleted together.

    Attributes:
        runs: test runs and inference jobs with their kinds, readers of files before owners.
        job: a training job that is deleted with them.
    """

    runs: tuple[tuple[RunKind, AnyRun], ...]
    job: JobView | None = None

    @property
    def folders(self) -> list[Path]:
        """The folders of results and uploads that exist.

        A rescored run has a folder of its own for corrected labels alone.
        """
        own = [run for _, run in self.runs if not _reads_others(run)]
        folders = [Path(run.results_dir) for run in own if run.results_dir is not None]
        folders += [folder for _, run in self.runs if (folder := uploads_of(run)) is not None]
        return [folder for folder in folders if folder.is_dir()]

    def carry_out(self, db: Database) -> None:
        """Delete the rows, then the folders.

        Raises:
            InputError: RUN_BUSY, a living process is writing one of the runs.
        """
        folders = self.folders
        for kind, run in self.runs:
            delete_run(db, run.id, kind=kind.name)
        if self.job is not None:
            delete_training_job(db, self.job.id)
        for folder in folders:
            shutil.rmtree(folder, ignore_errors=True)


def deletion_of_run(db: Database, run: RunView, *, cascade: bool = False) -> Deletion:
    """Plan to delete a test run.

    Args:
        db: the open database.
        run: the run.
        cascade: delete it although it has a tag, and the runs that read its files, too.

    Raises:
        InputError: RUN_IS_READ, rescored runs read its files; RUN_IS_TAGGED.
    """
    readers = runs_that_read(db, run.id)
    again = f"snellen delete {run.id} --cascade"
    if readers and not cascade:
        listed = ", ".join(str(reader) for reader in readers)
        raise InputError(
            "RUN_IS_READ",
            f"run {run.id} is read by the rescored runs {listed}. Expected a run whose files no "
            f"other run reads. Fix: delete those first, or {again}",
        )
    runs = [*(EVALUATION.get(db, reader) for reader in readers), run]
    planned = Deletion(tuple((EVALUATION, one) for one in runs))
    if not cascade:
        _reject_tagged(db, planned, again)
    return planned


def deletion_of_inference_job(db: Database, job: AnyRun, *, cascade: bool = False) -> Deletion:
    """Plan to delete an inference job. Raises InputError RUN_IS_TAGGED without ``cascade``."""
    planned = Deletion(((PREDICTION, job),))
    if not cascade:
        _reject_tagged(db, planned, f"snellen delete --inference {job.id} --cascade")
    return planned


def deletion_of_training_job(db: Database, job: JobView, *, cascade: bool = False) -> Deletion:
    """Plan to delete a training job with its test runs and its inference jobs.

    Raises:
        InputError: RUN_IS_TAGGED, one of its runs has a tag, without ``cascade``.
    """
    runs = list_test_runs(db, training_job_id=job.id, limit=_EVERYTHING)
    inference = list_inference_jobs(db, training_job_id=job.id, limit=_EVERYTHING)
    readers_first = sorted(runs, key=lambda run: run.results_of is None)
    planned = Deletion(
        (
            *((EVALUATION, run) for run in readers_first),
            *((PREDICTION, run) for run in inference),
        ),
        job,
    )
    if not cascade:
        _reject_tagged(db, planned, f"snellen delete --training-job {job.name} --cascade")
    return planned


def _reject_tagged(db: Database, planned: Deletion, again: str) -> None:
    for kind in (EVALUATION, PREDICTION):
        ids = [run.id for one, run in planned.runs if one.name == kind.name]
        for run_id, names in tags_of(db, kind.name, ids).items():
            noun = kind.words.noun
            raise InputError(
                "RUN_IS_TAGGED",
                f"{noun} {run_id} has the tag {', '.join(names)}. Expected a {noun} without tags. "
                f"Fix: move the tag (snellen tag OTHER {names[0]}), or {again}",
            )


def _reads_others(run: AnyRun) -> bool:
    """Return True if the folder of a run is that of another one."""
    reads = isinstance(run, RunView) and run.results_of is not None
    return reads and corrected_folder(run) is None
