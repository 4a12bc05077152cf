"""The images of a run: pages of them, one with all details, and the files they come from."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from cachetools import LRUCache

from snellen.analysis.reader import open_results, owner_of
from snellen.serve.api.bodies.image_bodies import (
    ImageQuery,
    InferenceImageResponse,
    InferenceResultListResponse,
    TestImageResultListResponse,
    TestImageResultResponse,
)
from snellen.serve.api.problems import Problem
from snellen.serve.api.runs.image_index import ImageIndex, IndexCache, Selection
from snellen.serve.api.runs.image_responses import predicted_image, test_image
from snellen.serve.api.runs.row_reader import Row, RowReader
from snellen.serve.api.runs.run_responses import relative_checkpoint
from snellen.store.image_rows import image_row_ids, recorded_rows
from snellen.store.jobs import get_training_job
from snellen.store.kinds import INFERENCE_JOB, TEST_RUN
from snellen.store.parquet.results import Results
from snellen.store.sql.database import Database
from snellen.store.views import AnyRun, InferenceJobView, RunView

_MAX_WITH_OBJECTS = 100
_OPENED_RUNS = 32
"""Maximum number of completed runs whose ledger is kept: a page asks for it once per tile."""


@dataclass(frozen=True, slots=True)
class OpenedRun:
    """A run and its result rows.

    Attributes:
        run: its row.
        results: reader of the rows.
        key: identifies the rows; it changes with every committed unit and with the revision.
    """

    run: AnyRun
    results: Results
    key: tuple[Any, ...]


class RunPages:
    """Pages of the images of runs. Safe to share between threads."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._indices = IndexCache()
        self._rows = RowReader()
        self._lock = threading.Lock()
        self._completed: LRUCache[Any, tuple[Results, tuple[Any, ...]]] = LRUCache(_OPENED_RUNS)

    def open(self, run: AnyRun) -> OpenedRun:
        """Open the result rows of a run.

        Raises:
            RunError: RUN_NOT_STARTED.
        """
        results, key = self._of_completed(run) or self._read(run)
        return OpenedRun(run, results, key)

    def _of_completed(self, run: AnyRun) -> tuple[Results, tuple[Any, ...]] | None:
        """Return results that are read once: those of a completed run that owns its files."""
        if run.status != "completed" or (isinstance(run, RunView) and run.results_of is not None):
            return None
        # Whoever completes it again, with other units, raises the revision or sets the time.
        name = (type(run), run.id, run.created_at, run.revision, run.completed_at, run.results_dir)
        with self._lock:
            found = self._completed.get(name)
        if found is None:
            found = self._read(run)
            with self._lock:
                self._completed[name] = found
        return found

    def _read(self, run: AnyRun) -> tuple[Results, tuple[Any, ...]]:
        results = open_results(self._db, run)
        owner = owner_of(self._db, run)
        kind = TEST_RUN if isinstance(run, RunView) else INFERENCE_JOB
        rows = sum(record.rows for record in results.records)
        return results, (kind, run.id, run.created_at, run.revision, owner.revision, rows)

    def test_images(self, run: RunView, query: ImageQuery) -> TestImageResultListResponse:
        """Return a page of the images of a test run.

        Raises:
            Problem: 422, a page of objects that is too large, or one half of a slice.
            ConfigError: SLICE_COLUMN.
        """
        opened = self.open(run)
        index = self.select(opened, selection_of(query, run))
        chosen = index.order[query.skip : query.skip + query.limit]
        if query.objects:
            rows = self._rows.whole(opened.results, chosen)
        else:
            rows = self._rows.light(opened.key, opened.results, chosen)
        ids = self._ids(TEST_RUN, run, rows)
        return TestImageResultListResponse(
            test_run_id=run.id,
            revision=run.revision,
            total_count=len(index.order),
            correct_count=index.correct,
            incorrect_count=index.incorrect,
            class_names=run.class_names,
            images=[
                test_image(run, row, row_id, moment)
                for row, (row_id, moment) in zip(rows, ids, strict=True)
            ],
        )

    def test_image(self, run: RunView, image_index: int) -> TestImageResultResponse:
        """Return one image of a test run with all details. Raises InputError IMAGE_NOT_FOUND."""
        row = self.row(self.open(run), image_index)
        ((row_id, moment),) = self._ids(TEST_RUN, run, [row])
        return test_image(run, row, row_id, moment)

    def row(self, opened: OpenedRun, image_index: int) -> Row:
        """Return the whole result row of an image. Raises InputError IMAGE_NOT_FOUND."""
        return self._rows.whole(opened.results, [image_index])[0]

    def select(self, opened: OpenedRun, selection: Selection) -> ImageIndex:
        """Return the images of a selection in their order; it is computed once.

        Raises:
            ConfigError: SLICE_COLUMN, SLICE_VALUES.
            RunError: RESULTS_MISSING.
        """
        return self._indices.get(opened.key, selection, opened.results)

    def rows(
        self, opened: OpenedRun, indices: Sequence[int], columns: Sequence[str] | None = None
    ) -> list[Row]:
        """Return result rows in the order of ``indices``, from the files of their units alone.

        Args:
            opened: the run.
            indices: image indices, each once.
            columns: None for all of them.

        Raises:
            InputError: IMAGE_NOT_FOUND.
        """
        return self._rows.whole(opened.results, indices, columns)

    def predictions(
        self, job: InferenceJobView, skip: int, limit: int, status: str | None
    ) -> InferenceResultListResponse:
        """Return a page of the results of an inference job, in image order."""
        opened = self.open(job)
        if not opened.results.records:
            found = recorded_rows(self._db, job.id)
            chosen = [one for one in found if status in (None, one["status"])]
            rows, total = chosen[skip : skip + limit], len(chosen)
            ids = [(row["id"], row["created_at"]) for row in rows]
        else:
            index = self.select(opened, Selection(status=status))
            rows = self._rows.whole(opened.results, index.order[skip : skip + limit])
            total, ids = len(index.order), self._ids(INFERENCE_JOB, job, rows)
        folder = get_training_job(self._db, job.training_job_id).output_dir
        checkpoint = relative_checkpoint(job.checkpoint_path, folder)
        results: list[InferenceImageResponse] = [
            predicted_image(job, row, row_id, checkpoint, moment)
            for row, (row_id, moment) in zip(rows, ids, strict=True)
        ]
        return InferenceResultListResponse(
            inference_job_id=job.id,
            total_count=total,
            class_names=job.class_names,
            results=results,
        )

    def _ids(self, kind: str, run: AnyRun, rows: Sequence[Row]) -> list[tuple[int, datetime]]:
        """Return id and time of rows: those in SQL; image_index + 1 for runs without rows there."""
        moment = run.completed_at or run.started_at or run.created_at
        indices = [row["image_index"] for row in rows]
        known = image_row_ids(self._db, kind, run.id, indices)
        return [known.get(index, (index + 1, moment)) for index in indices]


def selection_of(query: ImageQuery, run: RunView) -> Selection:
    """Return the conditions and the order of a query.

    Raises:
        Problem: 422.
    """
    if query.objects and query.limit > _MAX_WITH_OBJECTS:
        raise Problem(422, "VALIDATION", f"limit: at most {_MAX_WITH_OBJECTS} with objects=true.")
    if (query.slice_by is None) != (query.slice_value is None):
        raise Problem(422, "VALIDATION", "slice and slice_by: expected both or none.")
    given = query.model_dump(exclude={"skip", "limit", "objects", "true_class", "predicted_class"})
    return Selection(
        true_class=_class(query.true_class, run),
        predicted_class=_class(query.predicted_class, run),
        **given,
    )


def _class(word: str | None, run: RunView) -> int | None:
    """Return the id of a class that a request names; a name wins over an id."""
    names = run.class_names or []
    if word is None:
        return None
    if word in names:
        return names.index(word)
    if word.isdecimal() and len(word) < 10:
        return int(word)
    raise Problem(422, "CLASS_UNKNOWN", f"The run has no class {word[:80]!r}.")
