"""One list of test runs and inference jobs, on SQLite and Postgres."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from snellen.store.kinds import INFERENCE_JOB, TEST_RUN
from snellen.store.run_listing import ListQuery, count_runs, count_statuses, list_runs
from snellen.store.runs import create_inference_job, create_test_run
from snellen.store.sql.columns import utc_now
from snellen.store.sql.database import Database
from tests.store.conftest import make_job

NOW = utc_now()


@pytest.fixture
def filled(db: Database) -> Database:
    first, second = make_job(db, "yolo"), make_job(db, "resnet", "/models/resnet")
    shared: dict[str, Any] = {"checkpoint_path": "/w/best.pt", "task_type": "object_detection"}

    def test_run(name: str, age: int, **columns: Any) -> None:
        columns = {**shared, "training_job_id": first, "dataset_path": "/d/a", **columns}
        create_test_run(db, name=name, created_at=NOW - timedelta(days=age), **columns)

    test_run("old", 40, status="completed", primary_metric_value=0.5, total_images=10)
    test_run("50%_off", 3, status="failed", dataset_path="/d/Bicycles")
    test_run("new", 1, status="completed", primary_metric_value=0.7, total_images=30)
    create_inference_job(
        db, name="cams", training_job_id=second, checkpoint_path="/w/9.pth", status="running",
        task_type="image_classification", created_at=NOW - timedelta(days=2), total_images=20,
        inference_type="dataset",
    )  # fmt: skip
    return db


def names(db: Database, **query: Any) -> list[str | None]:
    return [entry.run.name for entry in list_runs(db, ListQuery(**query), limit=10)]


def test_both_kinds_newest_first(filled: Database) -> None:
    listed = list_runs(filled, ListQuery(), limit=10)
    assert [entry.run.name for entry in listed] == ["new", "cams", "50%_off", "old"]
    assert [entry.kind for entry in listed] == [TEST_RUN, INFERENCE_JOB, TEST_RUN, TEST_RUN]
    assert [entry.job_name for entry in listed] == ["yolo", "resnet", "yolo", "yolo"]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"kind": INFERENCE_JOB}, ["cams"]),
        ({"status": "completed"}, ["new", "old"]),
        ({"task_type": "object_detection"}, ["new", "50%_off", "old"]),
        ({"training_job_id": 2}, ["cams"]),
        ({"since": NOW - timedelta(days=30)}, ["new", "cams", "50%_off"]),
        ({"text": "BICYC"}, ["50%_off"]),
        ({"text": "resn"}, ["cams"]),
        ({"text": "9.pth"}, ["cams"]),
        ({"text": "%_"}, ["50%_off"]),
        ({"text": "none"}, []),
        ({"text": "d/a", "status": "completed", "kind": TEST_RUN}, ["new", "old"]),
    ],
)
def test_conditions(filled: Database, query: dict[str, Any], expected: list[str]) -> None:
    assert names(filled, **query) == expected
    assert sum(count_runs(filled, ListQuery(**query)).values()) == len(expected)


@pytest.mark.parametrize(
    ("sort", "descending", "expected"),
    [
        ("name", False, ["50%_off", "cams", "new", "old"]),
        ("result", True, ["new", "old", "cams", "50%_off"]),  # without a result last, both ways
        ("result", False, ["old", "new", "cams", "50%_off"]),
        ("images", True, ["new", "cams", "old", "50%_off"]),
        ("started", False, ["old", "50%_off", "cams", "new"]),
    ],
)
def test_order(filled: Database, sort: str, descending: bool, expected: list[str]) -> None:
    assert names(filled, sort=sort, descending=descending) == expected


def test_pages_are_the_list_in_parts(filled: Database) -> None:
    pages = [list_runs(filled, ListQuery(), limit=1, offset=place) for place in range(5)]
    assert [entry.run.name for page in pages for entry in page] == names(filled)


def test_counts(filled: Database) -> None:
    assert count_runs(filled, ListQuery(kind=TEST_RUN)) == {TEST_RUN: 3, INFERENCE_JOB: 0}
    assert count_statuses(filled) == {"completed": 2, "failed": 1, "running": 1}


def test_an_empty_database(db: Database) -> None:
    assert list_runs(db, ListQuery(), limit=10) == []
    assert count_runs(db, ListQuery()) == {TEST_RUN: 0, INFERENCE_JOB: 0}
    assert count_statuses(db) == {}
