"""Select a training job by id or name, in the parameters of requests."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from snellen.serve.api.problems import Problem
from snellen.serve.api.schemas import JobId, Schema
from snellen.store.jobs import find_training_job, get_training_job
from snellen.store.sql.database import Database

JobName = Annotated[
    str,
    Field(
        min_length=1,
        max_length=500,
        pattern=r"^[^\x00]+$",
        description="Name of the training job to run, in place of training_job_id.",
    ),
]
_LONG = 80


@dataclass(frozen=True, slots=True)
class JobSelection:
    """The training job that a request names: by its id, its name, or both.

    Attributes:
        training_job_id: its id.
        name: its name.
    """

    training_job_id: int | None = None
    name: str | None = None

    def find(self, db: Database) -> int:
        """Return the id of the training job.

        Raises:
            InputError: JOB_NOT_FOUND, there is none with this id.
            Problem: 404, there is none with this name; 422, id and name are those of two jobs.
        """
        name, job_id = self.name, self.training_job_id
        if name is None:
            assert job_id is not None
            return get_training_job(db, job_id).id
        found = find_training_job(db, name)
        shown = repr(name if len(name) <= _LONG else f"{name[:_LONG]}...")
        if found is None:
            raise Problem(
                404,
                "JOB_NOT_FOUND",
                f"There is no training job with the name {shown}. Expected a name of "
                "GET /inference/training-jobs; send an id as training_job_id.",
            )
        if job_id not in {None, found.id}:
            raise Problem(
                422,
                "VALIDATION",
                f"training_job_id {job_id} and job {shown} are different training jobs: the name "
                f"belongs to {found.id}. Send one of them.",
            )
        return found.id


class SelectsJob(Schema):
    """Base of the parameters of requests that run a training job; one of the two is required."""

    training_job_id: JobId | None = None
    job: JobName | None = None

    @model_validator(mode="after")
    def _one_is_given(self) -> Self:
        if self.training_job_id is None and self.job is None:
            raise PydanticCustomError(
                "missing", "training_job_id: Field required, or the name of a training job as job."
            )
        return self

    @property
    def selection(self) -> JobSelection:
        """The training job to run."""
        return JobSelection(self.training_job_id, self.job)
