"""Training jobs: the models that runs belong to, and the metrics of their training epochs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt

from snellen.adapters.errors import InputError
from snellen.store.sql.columns import utc_now
from snellen.store.sql.database import Database
from snellen.store.sql.models import InferenceJob, TestRun, TrainingJob, ValidationResult
from snellen.store.views import JobView, ValidationView

_JOBS: Any = TrainingJob.__table__
_VALIDATIONS: Any = ValidationResult.__table__
_LISTED = 20


@dataclass(frozen=True, slots=True)
class TrainingJobRecord:
    """A training job to register; see `snellen.store.sql.models.TrainingJob`.

    ``class_names``, ``num_classes`` and ``config`` of None keep the stored values. ``named`` says
    that the user chose the name: then it renames a known job, and a taken one is an error.
    """

    name: str
    framework: str
    task_type: str
    model_name: str | None
    output_dir: str
    class_names: list[str] | None = None
    num_classes: int | None = None
    config: dict[str, Any] | None = None
    named: bool = False


_OPTIONAL = ("class_names", "num_classes", "config")


def upsert_training_job(db: Database, record: TrainingJobRecord) -> JobView:
    """Register a training job, or update the one with the same ``output_dir``.

    A known job keeps its name, unless the user chose another one. The default name of a new job
    gets a suffix (``digits-2``) where another directory has it.

    Raises:
        InputError: JOB_NAME_TAKEN, another training job has the name that the user chose.
    """
    values: dict[str, Any] = {
        "framework": record.framework,
        "task_type": record.task_type,
        "model_name": record.model_name,
        "output_dir": _directory(record.output_dir),
    }
    optional = {key: getattr(record, key) for key in _OPTIONAL}
    values |= {key: value for key, value in optional.items() if value is not None}

    def attempt() -> JobView:
        with db.session() as session:
            return _upsert(session, record, values)

    # Another process may take the name between the query and the insert.
    retrying = Retrying(
        retry=retry_if_exception_type(IntegrityError), stop=stop_after_attempt(6), reraise=True
    )
    return retrying(attempt)


def _directory(path: str) -> str:
    return path.rstrip("/") or path


def training_job_of(db: Database, output_dir: str) -> JobView | None:
    """Return the training job with this ``output_dir``, or None."""
    query = select(_JOBS).where(_JOBS.c.output_dir == _directory(output_dir)).order_by(_JOBS.c.id)
    row = db.query(lambda session: session.execute(query).mappings().first())
    return None if row is None else JobView.of(row)


def rename_training_job(db: Database, job_id: int, name: str) -> None:
    """Rename a training job.

    Raises:
        InputError: JOB_NAME_TAKEN, another training job has the name.
    """
    with db.session() as session:
        _check_free(session, name, job_id)
        session.execute(update(_JOBS).where(_JOBS.c.id == job_id).values(name=name))


def delete_training_job(db: Database, job_id: int) -> None:
    """Delete a training job and its validation results; its runs must be deleted first.

    Raises:
        ValueError: the job still has runs; an error of the calling code.
    """
    with db.session() as session:
        for table in (TestRun.__table__, InferenceJob.__table__):
            runs = select(func.count()).select_from(table).where(table.c.training_job_id == job_id)
            if session.scalar(runs):
                raise ValueError(f"expected a training job without runs, {job_id} has some")
        session.execute(delete(_JOBS).where(_JOBS.c.id == job_id))


def transient_job(db: Database, record: TrainingJobRecord) -> JobView:
    """Return the training job of a record's ``output_dir``, or one that is not stored (id 0)."""
    known = training_job_of(db, record.output_dir)
    if known is not None:
        return known
    return JobView(
        id=0,
        name=record.name,
        framework=record.framework,
        task_type=record.task_type,
        model_name=record.model_name,
        output_dir=record.output_dir,
        class_names=record.class_names,
        num_classes=record.num_classes,
        config=record.config,
        created_at=utc_now(),
    )


def _check_free(session: Session, name: str, job_id: int | None) -> None:
    """Reject a name that a job other than ``job_id`` has."""
    taken = select(_JOBS.c.id).where(_JOBS.c.name == name)
    if job_id is not None:
        taken = taken.where(_JOBS.c.id != job_id)
    other = session.execute(taken).first()
    if other is not None:
        raise InputError(
            "JOB_NAME_TAKEN",
            f"the name {name!r} belongs to training job {other.id}. Expected a name that no "
            f"training job has. Rename that one first: snellen rename --training-job "
            f"{name} OTHER-NAME",
        )


def _upsert(session: Session, record: TrainingJobRecord, values: dict[str, Any]) -> JobView:
    name = record.name
    found = session.execute(
        select(_JOBS.c.id, _JOBS.c.name)
        .where(_JOBS.c.output_dir == values["output_dir"])
        .order_by(_JOBS.c.id)
        .limit(1)
        .with_for_update()
    ).one_or_none()
    if record.named:
        _check_free(session, name, None if found is None else found.id)
        values = {**values, "name": name}
    if found is None:
        values = {"name": name if record.named else _free_name(session, name), **values}
        added: Any = session.execute(insert(_JOBS).values(**values))
        job_id = added.inserted_primary_key[0]
    else:
        job_id = found.id
        session.execute(update(_JOBS).where(_JOBS.c.id == job_id).values(**values))
    row = session.execute(select(_JOBS).where(_JOBS.c.id == job_id)).mappings().one()
    return JobView.of(row)


def _free_name(session: Session, name: str) -> str:
    candidate, number = name, 1
    while session.execute(select(_JOBS.c.id).where(_JOBS.c.name == candidate)).first():
        number += 1
        candidate = f"{name}-{number}"
    return candidate


def get_training_job(db: Database, ref: int | str) -> JobView:
    """Return a training job by id or name.

    Raises:
        InputError: JOB_NOT_FOUND, listing the names that exist.
    """

    def operation(session: Session) -> JobView:
        row = None
        if str(ref).isdecimal():
            row = session.execute(select(_JOBS).where(_JOBS.c.id == int(ref))).mappings().first()
        if row is None:
            row = session.execute(select(_JOBS).where(_JOBS.c.name == str(ref))).mappings().first()
        if row is not None:
            return JobView.of(row)
        names = session.scalars(select(_JOBS.c.name).order_by(_JOBS.c.id.desc())).all()
        listed = ", ".join(names[:_LISTED]) + (", ..." if len(names) > _LISTED else "")
        raise InputError(
            "JOB_NOT_FOUND",
            f"there is no training job {ref!r}. Expected an id or a name in {db}"
            + (f" (newest first): {listed}." if names else ", which has no training jobs yet."),
        )

    return db.query(operation)


def find_training_job(db: Database, name: str) -> JobView | None:
    """Return the training job with exactly this name, or None."""
    query = select(_JOBS).where(_JOBS.c.name == name)
    row = db.query(lambda session: session.execute(query).mappings().first())
    return None if row is None else JobView.of(row)


def count_training_jobs(db: Database) -> int:
    """Count the training jobs."""
    query = select(func.count()).select_from(_JOBS)
    return int(db.query(lambda session: session.scalar(query) or 0))


def list_training_jobs(db: Database, *, limit: int | None = None, offset: int = 0) -> list[JobView]:
    """Return training jobs, newest first; all of them without a limit."""
    query = select(_JOBS).order_by(_JOBS.c.id.desc()).limit(limit).offset(offset)
    rows = db.query(lambda session: session.execute(query).mappings().all())
    return [JobView.of(row) for row in rows]


def replace_validation_results(db: Database, job_id: int, rows: list[dict[str, Any]]) -> None:
    """Replace the validation results of a training job.

    Args:
        db: the open database.
        job_id: id of the training job.
        rows: one dict per epoch, with any of the keys epoch, primary_metric_name,
            primary_metric_value, overall_loss and metrics.

    Raises:
        ValueError: a key that the table does not have.
    """
    names = set(ValidationView.columns()) - {"id", "training_job_id", "created_at"}
    wrong = sorted({key for row in rows for key in row} - names)
    if wrong:
        raise ValueError(f"unknown keys {wrong}. Expected keys of {sorted(names)}")

    def operation(session: Session) -> None:
        session.execute(delete(_VALIDATIONS).where(_VALIDATIONS.c.training_job_id == job_id))
        if rows:
            values = [{**dict.fromkeys(names), **row, "training_job_id": job_id} for row in rows]
            session.execute(insert(_VALIDATIONS), values)

    db.write(operation)


def validation_results(db: Database, job_id: int) -> list[ValidationView]:
    """Return the validation results of a training job, in the order of their insertion."""
    query = (
        select(_VALIDATIONS)
        .where(_VALIDATIONS.c.training_job_id == job_id)
        .order_by(_VALIDATIONS.c.id)
    )
    rows = db.query(lambda session: session.execute(query).mappings().all())
    return [ValidationView.of(row) for row in rows]
