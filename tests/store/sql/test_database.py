"""Opening a database: its location, its migrations, and the databases that are rejected."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from sqlalchemy import select, text

from snellen.adapters.errors import InputError, RunError
from snellen.store.jobs import list_training_jobs
from snellen.store.runs import get_test_run
from snellen.store.sql import failures
from snellen.store.sql.database import WAL_SAFE, Database
from snellen.store.sql.models import TestRun
from snellen.store.sql.mounts import network_filesystem
from snellen.store.sql.urls import resolve_url
from tests.store.conftest import make_job, make_run

ROOT = Path(__file__).parents[3]


def run_python(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, **environment},
        timeout=60,
        check=False,
    )


def test_importing_the_package_brings_nothing_heavy() -> None:
    code = "import store, sys; print({'sqlalchemy','alembic','polars'} & set(sys.modules))"
    assert run_python(code).stdout.strip() == "set()"


def test_a_current_database_opens_without_alembic(tmp_path: Path) -> None:
    code = (
        "import sys; from snellen.store.sql.database import Database; "
        f"Database.open('sqlite:///{tmp_path}/a.db'); print('alembic' in sys.modules)"
    )
    assert [run_python(code).stdout.strip() for _ in range(2)] == ["True", "False"]


# -- where the database lies -----------------------------------------------------------------


def test_the_url_defaults_to_the_environment_then_to_a_file_beside_the_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SNELLEN_DATABASE", raising=False)
    Database.open()
    assert (tmp_path / "runs" / "snellen.db").stat().st_mode & 0o777 == 0o600
    monkeypatch.setenv("SNELLEN_DATABASE", "other.db")
    assert Database.open().url == f"sqlite:///{tmp_path}/other.db"


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
def test_postgres_urls_use_psycopg_3(scheme: str) -> None:
    assert resolve_url(f"{scheme}://u:p@h/d").drivername == "postgresql+psycopg"


@pytest.mark.parametrize(
    "wrong", ["mysql://h/d", "nonsense", "sqlite://", "sqlite:///:memory:", "sqlite:///a.db?x=1"]
)
def test_other_urls_are_rejected(wrong: str) -> None:
    with pytest.raises(InputError, match="Expected sqlite:///") as caught:
        Database.open(wrong)
    assert caught.value.code == "DATABASE_URL"


def test_a_password_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError) as caught:
        Database.open("postgresql://user:secret@127.0.0.1:1/none")
    assert caught.value.code == "DATABASE_UNREACHABLE"
    assert "127.0.0.1" in caught.value.message
    assert "secret" not in caught.value.message


def test_a_missing_driver_names_the_extra() -> None:
    code = (
        "import sys; sys.modules['psycopg'] = None\n"
        "from snellen.store.sql.database import Database\n"
        "try: Database.open('postgresql://h/d')\n"
        "except Exception as e: print(e.code, e)"
    )
    assert "DATABASE_DRIVER" in (out := run_python(code).stdout)
    assert "snellen[postgres]" in out


def test_create_false_rejects_a_missing_file(tmp_path: Path) -> None:
    path = tmp_path / "no" / "such.db"
    with pytest.raises(InputError, match="there is no database at") as caught:
        Database.open(f"sqlite:///{path}", create=False)
    assert caught.value.code == "DATABASE_NOT_FOUND"
    assert not path.parent.exists()


def test_a_file_that_is_no_database_is_rejected(tmp_path: Path) -> None:
    path = tmp_path / "text.db"
    path.write_text("not a database at all, only some text that is long enough" * 20)
    with pytest.raises(InputError, match="Expected a SQLite database") as caught:
        Database.open(f"sqlite:///{path}")
    assert caught.value.code == "DATABASE_INVALID"


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/mnt/share/runs/a.db", "nfs4"),
        ("/mnt/share/local/a.db", None),
        ("/mnt/with space/a.db", "cifs"),
        ("/home/a.db", None),
        ("/mnt/shared/a.db", None),
    ],
)
def test_the_deepest_mount_decides(tmp_path: Path, path: str, kind: str | None) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text(
        "/dev/vda / ext4 rw 0 0\n"
        "host:/x /mnt/share nfs4 rw 0 0\n"
        "/dev/vdb /mnt/share/local xfs rw 0 0\n"
        "//nas/x /mnt/with\\040space cifs rw 0 0\n"
    )
    assert network_filesystem(Path(path), mounts) == kind


def test_sqlite_on_a_network_filesystem_is_rejected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("snellen.store.sql.urls.network_filesystem", lambda path: "nfs4")
    with pytest.raises(InputError, match=r"network filesystem \(nfs4\).*postgresql://") as caught:
        Database.open(f"sqlite:///{tmp_path}/a.db")
    assert caught.value.code == "DATABASE_NETWORK_FS"


# -- transactions ----------------------------------------------------------------------------


def test_sqlite_settings(tmp_path: Path) -> None:
    db = Database.open(f"sqlite:///{tmp_path}/a.db")
    with db.read() as session:
        values = {
            name: session.execute(text(f"PRAGMA {name}")).scalar_one()
            for name in ("foreign_keys", "busy_timeout", "journal_mode")
        }
    wal = sqlite3.sqlite_version_info >= WAL_SAFE
    assert values == {
        "foreign_keys": 1,
        "busy_timeout": 30_000,
        "journal_mode": "wal" if wal else "delete",
    }


def test_an_exception_undoes_the_transaction(db: Database, job_id: int) -> None:
    with pytest.raises(RuntimeError), db.session() as session:
        session.execute(text("DELETE FROM training_jobs"))
        raise RuntimeError
    assert make_run(db, job_id)


def test_a_locked_database_is_an_error_that_can_be_resumed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(failures, "BUSY_SECONDS", 0.2)
    db = Database.open(f"sqlite:///{tmp_path}/a.db")
    other = sqlite3.connect(tmp_path / "a.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(RunError, match="resume the run") as caught, db.session():
        pass
    assert caught.value.code == "DATABASE_LOCKED"
    other.rollback()
    with db.session():
        pass


def test_concurrent_writers_lose_nothing(db: Database, job_id: int) -> None:
    run_id = make_run(db, job_id, total_images=0)

    def add() -> None:
        for _ in range(20):
            with db.session() as session:
                query = select(TestRun).where(TestRun.id == run_id).with_for_update()
                run = session.execute(query).scalar_one()
                run.total_images = (run.total_images or 0) + 1

    threads = [threading.Thread(target=add) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert get_test_run(db, run_id).total_images == 160


@pytest.mark.postgres
def test_a_dropped_connection_is_replaced(postgres_url: str) -> None:
    db = Database.open(postgres_url)
    run_id = make_run(db, make_job(db))
    attempts = []

    def operation(session):  # type: ignore[no-untyped-def]
        attempts.append(1)
        if len(attempts) == 1:
            pid = session.execute(text("SELECT pg_backend_pid()")).scalar_one()
            import psycopg

            with psycopg.connect(postgres_url, autocommit=True) as other:
                other.execute("SELECT pg_terminate_backend(%s)", [pid])
        return session.execute(select(TestRun.id)).scalar_one()

    assert db.write(operation) == run_id
    assert len(attempts) == 2
    db.close()


def test_a_removed_file_is_noticed_and_a_restored_one_is_opened(tmp_path: Path) -> None:
    file = tmp_path / "runs.db"
    db = Database.open(f"sqlite:///{file}")
    make_job(db, "first", "/models/first")
    file.rename(tmp_path / "gone.db")
    for work in (db.query, db.write):
        with pytest.raises(RunError, match="was removed") as caught:
            work(lambda session: session.execute(text("SELECT 1")))
        assert caught.value.code == "DATABASE_GONE"
    other = Database.open(f"sqlite:///{file}")
    other.close()
    assert list_training_jobs(db) == []
    (tmp_path / "gone.db").replace(file)
    assert [job.name for job in list_training_jobs(db)] == ["first"]
    make_job(db, "second", "/models/second")
    db.close()
    assert len(list_training_jobs(Database.open(f"sqlite:///{file}"))) == 2
