"""Test runs and inference jobs: creating, finding, completing and deleting their rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any, TypedDict, TypeVar, Unpack

from sqlalchemy import ColumnElement, Select, delete, func, insert, select, update
from sqlalchemy.orm import Session

from snellen.adapters.errors import InputError
from snellen.store import results_path
from snellen.store.image_rows import insert_image_rows
from snellen.store.kinds import (
    INFERENCE_JOB,
    TEST_RUN,
    check_columns,
    image_table,
    run_table,
    spoken,
)
from snellen.store.leases import Lease, busy, is_held, lost, released, update_held
from snellen.store.service.job_queue import remove_from_queue
from snellen.store.sql.columns import utc_now
from snellen.store.sql.database import Database, database_now
from snellen.store.sql.models import RunUnit
from snellen.store.sql.names import Tag
from snellen.store.views import InferenceJobView, RunView

_HEAVY = ("per_class_metrics", "confusion_matrix", "details")

AnyView = TypeVar("AnyView", RunView, InferenceJobView)


def create_test_run(db: Database, **columns: Any) -> int:
    """Insert a row of ``test_runs`` (status ``pending`` unless given) and return its id.

    Raises:
        ValueError: a column that the table does not have.
    """
    return _create(db, TEST_RUN, columns)


def create_inference_job(db: Database, **columns: Any) -> int:
    """Insert a row of ``inference_jobs`` and return its id; see `create_test_run`."""
    return _create(db, INFERENCE_JOB, columns)


def _create(db: Database, kind: str, columns: dict[str, Any]) -> int:
    check_columns(kind, columns)
    values = results_path.stored(db, columns)
    with db.session() as session:
        result = session.execute(insert(run_table(kind)).values(**values))
        return int(result.inserted_primary_key[0])  # type: ignore[attr-defined]


def get_test_run(db: Database, ref: int | str) -> RunView:
    """Return a test run by id, tag or name, or the newest one (``latest``).

    Several runs may share a name, which means the newest of them.

    Raises:
        InputError: RUN_NOT_FOUND, listing the newest runs.
    """
    return _get(db, TEST_RUN, RunView, ref)


def get_inference_job(db: Database, ref: int | str) -> InferenceJobView:
    """Return an inference job by id, tag, name or ``latest``; see `get_test_run`."""
    return _get(db, INFERENCE_JOB, InferenceJobView, ref)


def _get(db: Database, kind: str, view: type[AnyView], ref: int | str) -> AnyView:
    table = run_table(kind)

    def operation(session: Session) -> AnyView:
        def newest_of(*conditions: Any) -> AnyView | None:
            query = select(table).where(*conditions).order_by(table.c.id.desc()).limit(1)
            row = session.execute(query).mappings().first()
            return None if row is None else view.of(results_path.opened(db, row))

        found = None
        if str(ref).isdecimal():
            found = newest_of(table.c.id == int(ref))
        elif ref == "latest":
            found = newest_of()
        tagged = select(Tag.run_id).where(Tag.run_kind == kind, Tag.name == str(ref))
        found = found or newest_of(table.c.id.in_(tagged)) or newest_of(table.c.name == str(ref))
        if found is not None:
            return found
        newest = session.execute(
            select(table.c.id, table.c.name).order_by(table.c.id.desc()).limit(5)
        )
        raise _unknown(kind, ref, [(row.id, row.name) for row in newest], str(db))

    return db.query(operation)


def _unknown(
    kind: str, ref: int | str, newest: list[tuple[int, str | None]], where: str
) -> InputError:
    listed = ", ".join(f"{run_id} ({name})" if name else str(run_id) for run_id, name in newest)
    return InputError(
        "RUN_NOT_FOUND",
        f"there is no {spoken(kind)} {ref!r}. Expected an id, a tag, a name or 'latest' in {where}"
        + (f" (newest first): {listed}." if listed else f", which has no {spoken(kind)}s yet."),
    )


class RunFilter(TypedDict, total=False):
    """Conditions of a list of test runs; None is no condition.

    Attributes:
        status: status of the runs.
        training_job_id: their training job.
        dataset_path: path of their dataset, as it is stored.
        dataset_split: split of their dataset.
        annotations: ``dataset.annotations`` of their configuration.
    """

    status: str | None
    training_job_id: int | None
    dataset_path: str | None
    dataset_split: str | None
    annotations: str | None


def list_test_runs(
    db: Database, *, limit: int = 100, offset: int = 0, **where: Unpack[RunFilter]
) -> list[RunView]:
    """Return test runs, newest first, without ``per_class_metrics`` and ``confusion_matrix``.

    Those two columns and ``details`` are None here, because they take megabytes for 1,000 classes:
    see `get_test_run`.
    """
    query = _listing(TEST_RUN, where).limit(limit).offset(offset)
    rows = db.query(lambda session: session.execute(query).mappings().all())
    return [RunView.of(results_path.opened(db, row)) for row in rows]


def count_test_runs(db: Database, **where: Unpack[RunFilter]) -> int:
    """Return the number of test runs that meet every condition."""
    return _count(db, TEST_RUN, where)


def count_inference_jobs(
    db: Database, *, status: str | None = None, training_job_id: int | None = None
) -> int:
    """Return the number of inference jobs that meet every condition."""
    return _count(db, INFERENCE_JOB, {"status": status, "training_job_id": training_job_id})


def run_keys(db: Database, kind: str) -> list[tuple[int, datetime]]:
    """Return id and time of creation of all runs of a kind."""
    table = run_table(kind)
    query = select(table.c.id, table.c.created_at)
    return [
        (row.id, row.created_at) for row in db.query(lambda session: session.execute(query).all())
    ]


def _count(db: Database, kind: str, where: Mapping[str, Any]) -> int:
    query = select(func.count()).select_from(run_table(kind)).where(*_conditions(kind, where))
    return int(db.query(lambda session: session.scalar(query)) or 0)


def list_inference_jobs(
    db: Database,
    *,
    status: str | None = None,
    training_job_id: int | None = None,
    limit: int = 100,
    offset: int = 0,
) -> list[InferenceJobView]:
    """Return inference jobs, newest first."""
    where = {"status": status, "training_job_id": training_job_id}
    query = _listing(INFERENCE_JOB, where).limit(limit).offset(offset)
    rows = db.query(lambda session: session.execute(query).mappings().all())
    return [InferenceJobView.of(results_path.opened(db, row)) for row in rows]


def _listing(kind: str, where: Mapping[str, Any]) -> Select[Any]:
    table = run_table(kind)
    query = select(*(column for column in table.columns if column.name not in _HEAVY))
    return query.where(*_conditions(kind, where)).order_by(table.c.id.desc())


def _conditions(kind: str, where: Mapping[str, Any]) -> Iterator[ColumnElement[bool]]:
    table = run_table(kind)
    for key, value in where.items():
        if value is None:
            continue
        if key == "annotations":
            yield table.c.config["dataset"][key].as_string() == value
        else:
            yield table.c[key] == value


def update_run(db: Database, lease: Lease, **columns: Any) -> None:
    """Set columns of a run whose lease this process holds.

    Raises:
        LeaseLost: the lease is not current.
        ValueError: a column that the table does not have, or one of the lease.
    """
    check_columns(lease.kind, columns)
    values = results_path.stored(db, columns)

    def operation(session: Session) -> None:
        if not update_held(session, lease, values):
            raise lost(lease)

    if columns:
        db.write(operation)


def complete_run(
    db: Database,
    lease: Lease,
    *,
    columns: dict[str, Any],
    image_rows: Iterable[dict[str, Any]] = (),
) -> None:
    """Complete a run in one transaction.

    Sets ``columns``, the status ``completed`` and ``completed_at``, releases the lease, and
    replaces the per-image rows of the run with ``image_rows`` (result rows as dicts; values that
    the SQL table has no column for are skipped).

    Raises:
        LeaseLost: the lease is not current; nothing was changed.
        ValueError: a column that the table does not have.
    """
    check_columns(lease.kind, columns)
    values = {
        "status": "completed",
        "completed_at": utc_now(),
        **columns,
        **released(),
    }
    with db.session() as session:
        if not update_held(session, lease, values):
            raise lost(lease)
        images, column = image_table(lease.kind)
        session.execute(delete(images).where(images.c[column] == lease.run_id))
        insert_image_rows(session, lease.kind, lease.run_id, image_rows)


def rename_run(db: Database, run_id: int, name: str, *, kind: str = TEST_RUN) -> None:
    """Rename a run; several runs may share a name."""
    table = run_table(kind)
    with db.session() as session:
        session.execute(update(table).where(table.c.id == run_id).values(name=name))


def runs_that_read(db: Database, run_id: int) -> list[int]:
    """Return the ids of the test runs that read the files of run ``run_id`` (rescored runs)."""
    table = run_table(TEST_RUN)
    query = select(table.c.id).where(table.c.results_of == run_id).order_by(table.c.id)
    return list(db.query(lambda session: session.scalars(query).all()))


def delete_run(db: Database, run_id: int, *, kind: str = TEST_RUN) -> None:
    """Delete the row of a run, its per-image rows and its ledger; its files are kept.

    Raises:
        InputError: RUN_NOT_FOUND; RUN_BUSY, a living process is writing it.
    """
    table = run_table(kind)
    with db.session() as session:
        query = select(table).where(table.c.id == run_id).with_for_update()
        row = session.execute(query).mappings().one_or_none()
        if row is None:
            raise InputError(
                "RUN_NOT_FOUND",
                f"there is no {spoken(kind)} {run_id}. Expected the id of a run in the database.",
            )
        now = database_now(session)
        if is_held(row, now):
            raise busy(kind, run_id, row, now)
        session.execute(delete(RunUnit).where(RunUnit.run_kind == kind, RunUnit.run_id == run_id))
        session.execute(delete(Tag).where(Tag.run_kind == kind, Tag.run_id == run_id))
        remove_from_queue(session, kind, run_id)
        session.execute(delete(table).where(table.c.id == run_id))
