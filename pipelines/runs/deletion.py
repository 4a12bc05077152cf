"""Delete runs, inference jobs and training jobs: their rows, and every file that they have made."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from snellen.adapters.errors import InputError
from snellen.pipelines.runs.evaluation import EVALUATION
from snellen.pipelines.runs.kinds import RunKind
from snellen.pipelines.runs.prediction import PREDICTION
from snellen.pipelines.runs.reading.ground_truth import corrected_folder
from snellen.pipelines.runs.run_folder import recorded_picture, uploads_of
from snellen.store.image_rows import recorded_rows
from snellen.store.jobs import delete_training_job
from snellen.store.runs import delete_run, list_inference_jobs, list_test_runs, runs_that_read
from snellen.store.service.analyses import AnalysisView, delete_analysis, exports_of
from snellen.store.sql.database import Database
from snellen.store.tags import tags_of
from snellen.store.views import AnyRun, InferenceJobView, JobView, RunView

_EVERYTHING = 1_000_000


@dataclass(frozen=True, slots=True)
class Deletion:
    """Rows and files that are deleted together.

    Attributes:
        runs: test runs and inference jobs with their kinds, readers of files before owners.
        job: a training job that is deleted with them.
        exports: the exports of the runs.
        pictures: annotated images of recorded requests.
    """

    runs: tuple[tuple[RunKind, AnyRun], ...]
    job: JobView | None
    exports: tuple[AnalysisView, ...]
    pictures: tuple[Path, ...]

    @property
    def folders(self) -> list[Path]:
        """The folders of results, uploads and exports that exist.

        A rescored run has a folder of its own for corrected labels alone.
        """
        own = [run for _, run in self.runs if not _reads_others(run)]
        folders = [Path(run.results_dir) for run in own if run.results_dir is not None]
        folders += [folder for _, run in self.runs if (folder := uploads_of(run)) is not None]
        folders += [Path(one.folder) for one in self.exports if one.folder is not None]
        return [folder for folder in folders if folder.is_dir()]

    def carry_out(self, db: Database) -> None:
        """Delete the rows, then the files.

        Raises:
            InputError: RUN_BUSY, a living process is writing one of the runs.
        """
        folders = self.folders
        for kind, run in self.runs:
            delete_run(db, run.id, kind=kind.name)
        if self.job is not None:
            delete_training_job(db, self.job.id)
        for export in self.exports:
            delete_analysis(db, export)
        for folder in folders:
            shutil.rmtree(folder, ignore_errors=True)
        for picture in self.pictures:
            picture.unlink(missing_ok=True)


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
    planned = _plan(db, [(EVALUATION, one) for one in runs])
    if not cascade:
        _reject_tagged(db, planned, again)
    return planned


def deletion_of_inference_job(db: Database, job: AnyRun, *, cascade: bool = False) -> Deletion:
    """Plan to delete an inference job. Raises InputError RUN_IS_TAGGED without ``cascade``."""
    planned = _plan(db, [(PREDICTION, job)])
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
    of_job = [
        *((EVALUATION, run) for run in readers_first),
        *((PREDICTION, run) for run in inference),
    ]
    planned = _plan(db, of_job, job)
    if not cascade:
        _reject_tagged(db, planned, f"snellen delete --training-job {job.name} --cascade")
    return planned


def _plan(
    db: Database, runs: Sequence[tuple[RunKind, AnyRun]], job: JobView | None = None
) -> Deletion:
    exports = []
    for kind in (EVALUATION, PREDICTION):
        ids = [run.id for of, run in runs if of is kind]
        exports += exports_of(db, kind.name, *ids) if ids else []
    pictures = [picture for _, run in runs for picture in _pictures(db, run)]
    return Deletion(tuple(runs), job, tuple(exports), tuple(pictures))


def _pictures(db: Database, run: AnyRun) -> Iterator[Path]:
    """Yield the annotated images of a recorded request."""
    if not isinstance(run, InferenceJobView) or not run.is_recorded:
        return
    for row in recorded_rows(db, run.id):
        picture = recorded_picture(db, run, row["visualization_path"])
        if picture is not None:
            yield picture


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
