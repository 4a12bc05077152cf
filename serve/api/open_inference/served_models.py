"""Models of the protocol: a model is a training job, a version one of its checkpoints."""

from __future__ import annotations

import re
from dataclasses import dataclass

from snellen.adapters.errors import InputError
from snellen.pipelines.models.training_jobs import describe_job
from snellen.serve.api.job_selection import JobSelection
from snellen.serve.api.model_resolver import ResolvedModel
from snellen.serve.api.open_inference.bodies import INPUT, ModelMetadata, TensorMetadata
from snellen.serve.api.open_inference.outputs import BYTES
from snellen.serve.api.open_inference.tasks import TASKS
from snellen.serve.api.predict_image import find_model
from snellen.serve.api.problems import Problem
from snellen.serve.api.schemas import CHECKPOINT, MAX_ID
from snellen.serve.api.state import State
from snellen.store.jobs import find_training_job, get_training_job
from snellen.store.sql.database import Database

DEFAULT_VERSION = "best"


@dataclass(frozen=True, slots=True)
class _Named(JobSelection):
    """The training job of a path, which holds its name or its id."""

    def find(self, db: Database) -> int:
        """Return the id of the training job.

        Raises:
            InputError: JOB_NOT_FOUND.
            Problem: 400, the text is the name of one job and the id of another one.
        """
        text = self.name or ""
        # Postgres rejects a zero byte in a text.
        named = None if "\0" in text else find_training_job(db, text)
        if not text.isdecimal() or len(text) > len(str(MAX_ID)) or int(text) > MAX_ID:
            if named is None:
                raise InputError("JOB_NOT_FOUND", f"there is no training job {text[:80]!r}.")
            return named.id
        if named is None:
            return get_training_job(db, int(text)).id
        try:
            other = get_training_job(db, int(text)).id
        except InputError:
            return named.id
        if other != named.id:
            raise Problem(
                400,
                "JOB_AMBIGUOUS",
                f"'{text}' is the name of training job {named.id} and the id of another one. "
                f"Expected a name, or the id {named.id}.",
            )
        return named.id


async def find_version(state: State, model: str, version: str) -> ResolvedModel:
    """Find a version of a model.

    Raises:
        InputError: JOB_NOT_FOUND, CHECKPOINT_NOT_FOUND.
        Problem: 400 or 404.
    """
    if not re.fullmatch(CHECKPOINT, version):
        raise Problem(
            404,
            "CHECKPOINT_NOT_FOUND",
            f"There is no version {version[:40]!r}. Expected 'best', 'last' or an epoch number.",
        )
    return await find_model(state, _Named(name=model), version)


def metadata_of(found: ResolvedModel) -> ModelMetadata:
    """Describe a model."""
    return ModelMetadata(
        name=found.job.name,
        versions=[str(one["name"]) for one in describe_job(found.job)["checkpoints"]],
        platform=f"snellen_{found.job.framework}",
        inputs=[TensorMetadata(name=INPUT, datatype=BYTES, shape=[-1])],
        outputs=[
            TensorMetadata(name=one.name, datatype=one.datatype, shape=list(one.shape))
            for one in TASKS[found.job.task_type]
        ],
    )
