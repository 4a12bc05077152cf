"""Migrations: up, down, and what they keep."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import inspect, text

from snellen.adapters.errors import InputError
from snellen.store.leases import acquire
from snellen.store.ledger import commit_unit, committed_units
from snellen.store.migrations import HEAD, REVISIONS, VERSION_TABLE
from snellen.store.parquet.unit_record import UnitRecord
from snellen.store.runs import get_test_run
from snellen.store.sql import migrate
from snellen.store.sql.database import Database
from snellen.store.sql.models import Base
from tests.store.conftest import make_job, make_run

ROOT = Path(__file__).parents[3]


def test_models_and_migrations_do_not_differ(db: Database) -> None:
    with db.read() as session:
        context = MigrationContext.configure(
            session.connection(),
            opts={"version_table": VERSION_TABLE, "compare_type": True},
        )
        assert compare_metadata(context, Base.metadata) == []


def test_migrations_go_down_and_up_again(db: Database) -> None:
    with db.session() as session:
        migrate.downgrade(session.connection(), "base")
    with db.read() as session:
        assert set(inspect(session.connection()).get_table_names()) == {VERSION_TABLE}
    with db.session() as session:
        migrate.upgrade(session.connection(), HEAD)
    with db.read() as session:
        assert set(Base.metadata.tables) < set(inspect(session.connection()).get_table_names())


def test_runs_of_the_first_revision_are_kept(db: Database, url: str) -> None:
    run_id = make_run(db, make_job(db), status="interrupted", metrics={"accuracy": 0.5})
    with db.session() as session:
        migrate.downgrade(session.connection(), "0001")
    with db.read() as session:
        columns = {c["name"] for c in inspect(session.connection()).get_columns("test_runs")}
    assert "cancel_requested" not in columns
    opened = Database.open(url)
    run = get_test_run(opened, run_id)
    opened.close()
    assert (run.status, run.metrics, run.cancel_requested) == (
        "interrupted", {"accuracy": 0.5}, False)  # fmt: skip


def test_units_of_an_earlier_revision_stay_current(db: Database, url: str) -> None:
    run_id = make_run(db, make_job(db))
    lease = acquire(db, "test_run", run_id)
    record = UnitRecord(0, 0, 4, "units/a", "0" * 64, 4, 0, "a1", "here", {}, {})
    assert commit_unit(db, lease, record)
    with db.session() as session:
        migrate.downgrade(session.connection(), "0003")
        constraints = inspect(session.connection()).get_unique_constraints("run_units")
        assert [one["name"] for one in constraints] == ["uq_run_units_run_unit"]
    opened = Database.open(url)
    assert committed_units(opened, "test_run", run_id) == [record]
    assert get_test_run(opened, run_id).revision == 0
    assert not commit_unit(opened, lease, record)
    opened.close()


def test_the_known_revisions_are_those_of_the_folder() -> None:
    config = Config()
    config.set_main_option("script_location", str(ROOT / "store" / "migrations"))
    script = ScriptDirectory.from_config(config)
    assert script.get_current_head() == HEAD
    assert [revision.revision for revision in script.walk_revisions()] == list(REVISIONS)[::-1]


@pytest.mark.slow
def test_processes_that_open_a_new_database_together_all_succeed(url: str) -> None:
    code = "import sys; from snellen.store.sql.database import Database; Database.open(sys.argv[1])"
    processes = [
        subprocess.Popen([sys.executable, "-c", code, url], cwd=ROOT, stderr=subprocess.PIPE)
        for _ in range(4)
    ]
    errors = [process.communicate(timeout=60)[1] for process in processes]
    assert [process.returncode for process in processes] == [0] * 4, errors


def test_a_database_of_a_newer_version_is_rejected(db: Database, url: str) -> None:
    with db.session() as session:
        session.execute(text(f"UPDATE {VERSION_TABLE} SET version_num = '9999'"))
    with pytest.raises(InputError, match=r"newer version of snellen\. Expected") as caught:
        Database.open(url)
    assert caught.value.code == "DATABASE_NEWER"


def test_tables_of_another_program_are_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "platform.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE training_jobs (id INTEGER)")
    with pytest.raises(InputError, match="another program: training_jobs"):
        Database.open(f"sqlite:///{path}")
