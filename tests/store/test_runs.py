"""Rows of runs and jobs: lookup, completion in one transaction, deletion with dependents."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.exc import StatementError

from snellen.adapters.errors import InputError
from snellen.store.image_rows import record_request
from snellen.store.leases import LeaseLost, acquire, release
from snellen.store.runs import (
    complete_run,
    count_test_runs,
    create_inference_job,
    create_test_run,
    delete_run,
    get_inference_job,
    get_test_run,
    list_inference_jobs,
    list_test_runs,
    update_run,
)
from snellen.store.sql.database import Database
from snellen.store.sql.models import InferenceResultRow, TestImageResult, TrainingJob
from tests.store.conftest import make_job, make_run


def image(index: int, **columns: Any) -> dict[str, Any]:
    """Return a row of the result files, which has more columns than the SQL tables."""
    return {
        "image_index": index,
        "image_id": f"cat/{index}.png",
        "image_path": f"/data/cat/{index}.png",
        "image_name": f"{index}.png",
        "width": 10,
        "status": "ok",
        "true_label": "cat",
        "true_label_id": 0,
        "predicted_label": "cat",
        "predicted_label_id": 0,
        "confidence": 0.75,
        "top5_predictions": [{"label_id": 0, "label": "cat", "confidence": 0.75}],
        "is_correct": True,
        "inference_time_ms": 1.5,
        "extra_data": '{"n_frames": 2}',
        **columns,
    }


def count_images(db: Database, run_id: int) -> int:
    with db.read() as session:
        query = select(func.count()).where(TestImageResult.test_run_id == run_id)
        return session.execute(query).scalar_one()


# -- finding ---------------------------------------------------------------------------------


def test_a_run_is_found_by_id_name_and_latest(db: Database, job_id: int) -> None:
    first = make_run(db, job_id, name="first", config={"model": {"name": "x"}})
    second = make_run(db, job_id, name="second")
    assert get_test_run(db, first).config == {"model": {"name": "x"}}
    assert get_test_run(db, str(first)).id == first
    assert get_test_run(db, "second").id == second
    assert get_test_run(db, "latest").id == second
    assert get_test_run(db, first).status == "pending"
    assert get_test_run(db, first).dataset_split == "test"


def test_a_name_of_digits_is_found_when_no_id_is(db: Database, job_id: int) -> None:
    run_id = make_run(db, job_id, name="2026")
    assert get_test_run(db, "2026").id == run_id


def test_an_unknown_run_lists_the_newest(db: Database, job_id: int) -> None:
    with pytest.raises(InputError, match="has no test runs yet") as caught:
        get_test_run(db, "latest")
    ids = [make_run(db, job_id, name=f"run-{i}") for i in range(7)]
    with pytest.raises(InputError, match=rf"no test run 'nope'.*{ids[6]} \(run-6\)") as caught:
        get_test_run(db, "nope")
    assert caught.value.code == "RUN_NOT_FOUND"
    assert "run-1)" not in caught.value.message


def test_a_name_of_several_runs_means_the_newest(db: Database, job_id: int) -> None:
    first, second = (make_run(db, job_id, name="same") for _ in range(2))
    assert get_test_run(db, "same").id == second
    assert get_test_run(db, first).id == first


def test_runs_of_one_dataset_are_listed(db: Database, job_id: int) -> None:
    here = make_run(db, job_id, dataset_path="/data/val")
    make_run(db, job_id, dataset_path="/data/test")
    assert [run.id for run in list_test_runs(db, dataset_path="/data/val")] == [here]


def test_runs_of_one_split_and_annotation_file_are_listed(db: Database, job_id: int) -> None:
    ids = {
        (split, file): make_run(
            db,
            job_id,
            dataset_split=split,
            config={"dataset": {"path": "/data", "annotations": file}},
        )
        for split in ("val", None)
        for file in ("a.json", None)
    }
    make_run(db, job_id, config=None)

    def listed(**where: Any) -> list[int]:
        assert count_test_runs(db, **where) == len(list_test_runs(db, **where))
        return [run.id for run in reversed(list_test_runs(db, **where))]

    assert listed(dataset_split="val") == [ids["val", "a.json"], ids["val", None]]
    assert listed(annotations="a.json") == [ids["val", "a.json"], ids[None, "a.json"]]
    assert listed(dataset_split="val", annotations="a.json") == [ids["val", "a.json"]]


def test_listing_is_newest_first_and_can_be_narrowed(db: Database, job_id: int) -> None:
    other = make_job(db, "other", "/models/other")
    ids = [make_run(db, job, confusion_matrix=[[1]]) for job in (job_id, other, job_id)]
    acquire(db, "test_run", ids[0])
    assert [run.id for run in list_test_runs(db)] == ids[::-1]
    assert [run.id for run in list_test_runs(db, training_job_id=job_id)] == [ids[2], ids[0]]
    assert [run.id for run in list_test_runs(db, status="running")] == [ids[0]]
    assert [run.id for run in list_test_runs(db, limit=1, offset=1)] == [ids[1]]
    assert list_test_runs(db)[0].confusion_matrix is None
    assert get_test_run(db, ids[0]).confusion_matrix == [[1]]


def test_columns_that_do_not_exist_are_rejected(db: Database, job_id: int, run_id: int) -> None:
    with pytest.raises(ValueError, match=r"colour cannot be set\. Expected columns of test_runs"):
        create_test_run(db, training_job_id=job_id, colour="red")
    lease = acquire(db, "test_run", run_id)
    with pytest.raises(ValueError, match="lease_token"):
        update_run(db, lease, lease_token="mine")


# -- completing ------------------------------------------------------------------------------


def test_completing_writes_metrics_and_images_at_once(db: Database, run_id: int) -> None:
    lease = acquire(db, "test_run", run_id)
    rows = [image(0), image(1, status="failed", is_correct=None, confidence=float("nan"))]
    columns = {"metrics": {"accuracy": 1.0}, "overall_loss": 0.25, "scored_images": 1}
    complete_run(db, lease, columns=columns, image_rows=iter(rows))
    run = get_test_run(db, run_id)
    assert (run.status, run.metrics, run.overall_loss) == ("completed", {"accuracy": 1.0}, 0.25)
    assert run.completed_at is not None and run.lease_token is None
    with db.read() as session:
        query = select(TestImageResult).order_by(TestImageResult.image_index)
        first, second = session.scalars(query).all()
    assert first.top5_predictions == [{"label_id": 0, "label": "cat", "confidence": 0.75}]
    assert first.extra_data == {"n_frames": 2}
    assert (second.status, second.is_correct, second.confidence) == ("failed", None, None)


def test_completing_replaces_former_images(db: Database, run_id: int) -> None:
    lease = acquire(db, "test_run", run_id)
    with db.session() as session:
        from snellen.store.image_rows import insert_image_rows

        insert_image_rows(session, "test_run", run_id, [image(i) for i in range(3)])
    complete_run(db, lease, columns={}, image_rows=[image(7)])
    assert count_images(db, run_id) == 1


def test_a_failure_while_completing_changes_nothing(db: Database, run_id: int) -> None:
    lease = acquire(db, "test_run", run_id)

    def broken() -> Any:
        yield image(0)
        raise OSError("the file is gone")

    with pytest.raises(OSError, match="gone"):
        complete_run(db, lease, columns={"metrics": {}}, image_rows=broken())
    run = get_test_run(db, run_id)
    assert (run.status, run.metrics, run.lease_token) == ("running", None, lease.token)
    assert count_images(db, run_id) == 0


def test_a_former_owner_cannot_complete(db: Database, run_id: int) -> None:
    former = acquire(db, "test_run", run_id)
    release(db, former, status="interrupted")
    with pytest.raises(LeaseLost):
        complete_run(db, former, columns={"metrics": {"accuracy": 0.0}})
    assert get_test_run(db, run_id).metrics is None


# -- deleting --------------------------------------------------------------------------------


def test_deleting_a_run_deletes_its_images(db: Database, job_id: int, run_id: int) -> None:
    lease = acquire(db, "test_run", run_id)
    complete_run(db, lease, columns={}, image_rows=[image(0)])
    rescored = make_run(db, job_id, name="rescored", results_of=run_id)
    delete_run(db, run_id)
    assert count_images(db, run_id) == 0
    assert get_test_run(db, rescored).results_of is None
    with pytest.raises(InputError, match="there is no test run"):
        delete_run(db, run_id)
    assert make_run(db, job_id) > rescored > run_id  # ids are never used again


def test_deleting_a_training_job_deletes_its_runs(db: Database, job_id: int, run_id: int) -> None:
    lease = acquire(db, "test_run", run_id)
    complete_run(db, lease, columns={}, image_rows=[image(0)])
    with db.session() as session:
        session.delete(session.get_one(TrainingJob, job_id))
    assert list_test_runs(db) == []
    assert count_images(db, run_id) == 0


# -- inference jobs --------------------------------------------------------------------------


def test_an_inference_job_has_the_same_life(db: Database, job_id: int) -> None:
    run_id = create_inference_job(
        db,
        training_job_id=job_id,
        checkpoint_path="/models/digits/best.pth",
        inference_type="dataset",
        input_data={"dataset_path": "/data"},
        task_type="image_classification",
    )
    lease = acquire(db, "inference_job", run_id)
    complete_run(db, lease, columns={"avg_inference_time_ms": 2.0}, image_rows=[image(0)])
    job = get_inference_job(db, "latest")
    assert (job.status, job.avg_inference_time_ms) == ("completed", 2.0)
    assert [found.id for found in list_inference_jobs(db, status="completed")] == [run_id]
    delete_run(db, run_id, kind="inference_job")
    with pytest.raises(InputError, match="there is no inference job"):
        get_inference_job(db, run_id)


def test_a_request_is_a_job_and_its_result_or_nothing(db: Database, job_id: int) -> None:
    columns = {
        "training_job_id": job_id,
        "checkpoint_path": "/models/digits/best.pth",
        "inference_type": "single",
        "status": "completed",
        "task_type": "image_classification",
    }
    request_id, result_id = record_request(db, columns, image(3))
    assert get_inference_job(db, request_id).status == "completed"
    with db.read() as session:
        (row,) = session.scalars(select(InferenceResultRow)).all()
    assert (row.id, row.inference_job_id, row.image_index) == (result_id, request_id, 3)
    with pytest.raises(ValueError, match="lease_token"):
        record_request(db, {**columns, "lease_token": "x"}, image(4))
    with pytest.raises(StatementError, match="Expected a JSON value"):
        record_request(db, columns, {**image(5), "extra_data": object()})
    assert [job.id for job in list_inference_jobs(db)] == [request_id]


def test_the_required_indexes_exist(db: Database) -> None:
    with db.read() as session:
        source = "sqlite_master" if db.dialect == "sqlite" else "pg_indexes"
        column = "name" if db.dialect == "sqlite" else "indexname"
        names = set(session.scalars(text(f"SELECT {column} FROM {source}")))
    assert {
        "idx_test_image_results_test_run_id",
        "idx_test_image_results_true_label_id",
        "idx_test_image_results_predicted_label_id",
        "idx_test_image_results_is_correct",
        "idx_inference_results_job_id",
    } <= names
