"""A folder of runs that is moved together with its database still opens."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import select

from snellen.store.leases import acquire
from snellen.store.runs import (
    create_inference_job,
    get_inference_job,
    get_test_run,
    list_inference_jobs,
    list_test_runs,
    update_run,
)
from snellen.store.sql.database import Database
from snellen.store.sql.models import TestRun
from tests.store.conftest import make_job, make_run


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    return tmp_path / "runs"


def at(folder: Path) -> Database:
    return Database.open(f"sqlite:///{folder / 'snellen.db'}")


def written(db: Database, run_id: int) -> str | None:
    with db.read() as session:
        return session.scalar(select(TestRun.results_dir).where(TestRun.id == run_id))


def test_a_folder_below_the_database_moves_with_it(runs: Path) -> None:
    db = at(runs)
    job = make_job(db)
    run_id = make_run(db, job)
    update_run(db, acquire(db, "test_run", run_id), results_dir=str(runs / "1-first"))
    job_id = create_inference_job(
        db, training_job_id=job, checkpoint_path="c", task_type="t", inference_type="batch",
        results_dir=str(runs / "predictions" / "1-x"),
    )  # fmt: skip
    assert written(db, run_id) == "1-first"
    assert get_test_run(db, run_id).results_dir == str(runs / "1-first")
    db.close()
    moved = runs.rename(runs.with_name("elsewhere"))
    db = at(moved)
    assert get_test_run(db, run_id).results_dir == str(moved / "1-first")
    assert list_test_runs(db)[0].results_dir == str(moved / "1-first")
    predicted = str(moved / "predictions" / "1-x")
    assert get_inference_job(db, job_id).results_dir == predicted
    assert list_inference_jobs(db)[0].results_dir == predicted
    db.close()


def test_a_folder_elsewhere_and_an_old_row_stay_absolute(runs: Path, tmp_path: Path) -> None:
    db = at(runs)
    outside = str(tmp_path / "out" / "1-first")
    run_id = make_run(db, make_job(db), results_dir=outside)
    assert written(db, run_id) == outside
    inside = str(runs / "2-old")
    with db.session() as session:
        session.add(
            TestRun(training_job_id=1, checkpoint_path="c", dataset_path="d", task_type="t",
                    results_dir=inside)
        )  # fmt: skip
    assert written(db, run_id + 1) == inside
    assert get_test_run(db, run_id + 1).results_dir == inside
    assert get_test_run(db, run_id).results_dir == outside
    db.close()


def test_a_link_to_the_folder_of_the_database_counts_as_it(runs: Path, tmp_path: Path) -> None:
    runs.mkdir()
    (tmp_path / "link").symlink_to(runs)
    db = at(tmp_path / "link")
    run_id = make_run(db, make_job(db), results_dir=str(runs / "1-first"))
    assert written(db, run_id) == "1-first"
    db.close()


@pytest.mark.postgres
def test_a_database_on_a_server_has_no_folder(postgres_url: str, tmp_path: Path) -> None:
    db = Database.open(postgres_url)
    assert db.folder is None
    path = str(tmp_path / "1-first")
    run_id = make_run(db, make_job(db), results_dir=path)
    assert written(db, run_id) == get_test_run(db, run_id).results_dir == path
    db.close()
