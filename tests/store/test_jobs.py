"""Training jobs: registration, lookup by id or name, and their validation results."""

from __future__ import annotations

import pytest

from snellen.adapters.errors import InputError
from snellen.store.jobs import (
    TrainingJobRecord,
    get_training_job,
    list_training_jobs,
    replace_validation_results,
    upsert_training_job,
    validation_results,
)
from snellen.store.sql.database import Database
from tests.store.conftest import make_job


def test_the_same_directory_is_the_same_job(db: Database, job_id: int) -> None:
    again = upsert_training_job(
        db,
        TrainingJobRecord(
            name="digits",
            framework="timm",
            task_type="image_classification",
            model_name="resnet50",
            output_dir="/models/digits/",
            class_names=None,
            num_classes=None,
            config=None,
        ),
    )
    assert (again.id, again.name, again.model_name) == (job_id, "digits", "resnet50")
    assert again.class_names == ["cat", "dog"]


def test_a_name_that_is_taken_gets_a_number(db: Database, job_id: int) -> None:
    second = get_training_job(db, make_job(db, "digits", "/elsewhere/digits"))
    assert second.name == "digits-2"
    assert make_job(db, "digits", "/elsewhere/digits") == second.id
    assert get_training_job(db, "digits-2").output_dir == "/elsewhere/digits"
    assert [job.name for job in list_training_jobs(db)] == ["digits-2", "digits"]


def named(db: Database, name: str, directory: str, *, by_user: bool) -> str:
    record = TrainingJobRecord(
        name=name,
        framework="timm",
        task_type="image_classification",
        model_name=None,
        output_dir=directory,
        named=by_user,
    )
    return upsert_training_job(db, record).name


def test_a_job_keeps_its_name_until_the_user_gives_another(db: Database, job_id: int) -> None:
    assert named(db, "other", "/models/digits", by_user=False) == "digits"
    assert named(db, "other", "/models/digits", by_user=True) == "other"
    assert named(db, "digits", "/models/digits", by_user=False) == "other"


@pytest.mark.parametrize("directory", ["/models/new", "/models/second"])
def test_a_name_of_the_user_that_is_taken_is_an_error(
    db: Database, job_id: int, directory: str
) -> None:
    make_job(db, "second", "/models/second")
    with pytest.raises(InputError, match="'digits' belongs to training job") as caught:
        named(db, "digits", directory, by_user=True)
    assert caught.value.code == "JOB_NAME_TAKEN"
    assert [job.name for job in list_training_jobs(db)] == ["second", "digits"]


def test_an_unknown_job_lists_the_names(db: Database, job_id: int) -> None:
    with pytest.raises(
        InputError, match=r"no training job 'digit'.* \(newest first\): digits"
    ) as caught:
        get_training_job(db, "digit")
    assert caught.value.code == "JOB_NOT_FOUND"


def test_validation_results_are_replaced(db: Database, job_id: int) -> None:
    replace_validation_results(db, job_id, [{"epoch": 0}])
    rows = [
        {"epoch": 0, "overall_loss": 0.5, "metrics": {"top1": 90.0}},
        {"epoch": 1, "primary_metric_name": "accuracy", "primary_metric_value": 0.9},
    ]
    replace_validation_results(db, job_id, rows)
    stored = validation_results(db, job_id)
    assert [(row.epoch, row.overall_loss) for row in stored] == [(0, 0.5), (1, None)]
    assert stored[0].metrics == {"top1": 90.0}
    with pytest.raises(ValueError, match="unknown keys \\['accuracy'\\]"):
        replace_validation_results(db, job_id, [{"accuracy": 1}])
