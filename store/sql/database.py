"""The database of the run tables: connections and transactions.

SQLite beside the runs is the default; a team sets a Postgres URL. On SQLite a writing transaction
starts with BEGIN IMMEDIATE, because with plain BEGIN two writers that both read first fail instead
of waiting. The write-ahead log is used only with SQLite >= 3.51.3: earlier versions can corrupt it
under several processes.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import URL, Connection, Engine, create_engine, event, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session
from tenacity import (
    Retrying,
    retry_if_exception_type,
    stop_after_attempt,
    wait_chain,
    wait_fixed,
)

from snellen.adapters.errors import InputError, RunError
from snellen.adapters.passwords import hide_passwords
from snellen.store.sql import failures
from snellen.store.sql.columns import utc_now
from snellen.store.sql.failures import ConnectionDropped, explained
from snellen.store.sql.migrate import ensure_current
from snellen.store.sql.urls import prepare_sqlite_file, resolve_url

WAL_SAFE = (3, 51, 3)
_RETRY_WAITS = (0.2, 1.0, 3.0)
"""Seconds before each retry of an operation whose connection was lost."""

T = TypeVar("T")


class Database:
    """The open run tables; see `Database.open`. Safe to share between threads."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._reader = engine.execution_options(snellen_read=True)
        file = engine.url.database if engine.dialect.name == "sqlite" else None
        self._file = None if not file else Path(file).absolute()
        self._identity = self._found()

    @classmethod
    def open(cls, url: str | None = None, *, create: bool = True) -> Database:
        """Open the database, create it if it is missing and migrate its tables.

        Args:
            url: see `snellen.store.sql.urls.resolve_url`; None takes ``SNELLEN_DATABASE``, else
                ``sqlite:///runs/snellen.db``.
            create: False rejects a SQLite file that does not exist.

        Raises:
            InputError: DATABASE_URL, DATABASE_NOT_FOUND, DATABASE_NETWORK_FS,
                DATABASE_UNREACHABLE, DATABASE_DRIVER, DATABASE_INVALID, DATABASE_FOREIGN, or
                DATABASE_NEWER (written by a newer version of this program).
            RunError: DATABASE_LOCKED.
        """
        parsed = resolve_url(url)
        sqlite = parsed.get_backend_name() == "sqlite"
        if sqlite:
            prepare_sqlite_file(Path(parsed.database or ""), create=create)
        engine = _sqlite_engine(parsed) if sqlite else _postgres_engine(parsed)
        try:
            with explained(parsed.render_as_string()):
                if sqlite:
                    _set_journal(engine)
                ensure_current(engine)
        except BaseException:
            engine.dispose()
            raise
        return cls(engine)

    @property
    def url(self) -> str:
        """The complete URL with the password, which ``str(db)`` hides."""
        return self._engine.url.render_as_string(hide_password=False)

    @property
    def folder(self) -> Path | None:
        """Folder of the SQLite file, absolute; None for a database on a server."""
        return None if self._file is None else self._file.parent

    @property
    def dialect(self) -> str:
        """``sqlite`` or ``postgresql``."""
        return self._engine.dialect.name

    def __str__(self) -> str:
        return hide_passwords(self.url)

    def __repr__(self) -> str:
        return f"Database({str(self)!r})"

    @contextmanager
    def session(self) -> Iterator[Session]:
        """Open a writing transaction: committed at the end of the block, undone on an exception.

        Raises:
            RunError: DATABASE_LOCKED after 30 s, DISK_FULL, DATABASE_READONLY,
                DATABASE_CONNECTION, or DATABASE_GONE if the file was removed.
        """
        self._follow_file()
        with (
            explained(str(self)),
            Session(self._engine, expire_on_commit=False) as session,
            session.begin(),
        ):
            session.connection()  # takes SQLite's write lock now, not at the first statement
            yield session

    @contextmanager
    def read(self) -> Iterator[Session]:
        """Open a consistent view for reading, which blocks no writer; keep it short.

        Raises:
            RunError: as `session`.
        """
        self._follow_file()
        with explained(str(self)), Session(self._reader, expire_on_commit=False) as session:
            yield session

    def write(self, operation: Callable[[Session], T]) -> T:
        """Run ``operation`` in one transaction and retry it if the connection is lost.

        Only for operations that can be repeated: the lost transaction may have been committed.
        """
        return self._repeat(self.session, operation)

    def query(self, operation: Callable[[Session], T]) -> T:
        """Run ``operation`` in a reading session and retry it if the connection is lost."""
        return self._repeat(self.read, operation)

    def _repeat(self, opened: Callable[[], Any], operation: Callable[[Session], T]) -> T:
        def attempt() -> T:
            with opened() as session:
                return operation(session)

        retrying = Retrying(
            retry=retry_if_exception_type(ConnectionDropped),
            wait=wait_chain(*(wait_fixed(seconds) for seconds in _RETRY_WAITS)),
            stop=stop_after_attempt(len(_RETRY_WAITS) + 1),
            reraise=True,
        )
        return retrying(attempt)

    def _found(self) -> tuple[int, int] | None:
        """Return device and inode of the SQLite file; None without a file."""
        if self._file is None:
            return None
        try:
            found = self._file.stat()
        except OSError:
            return None
        return found.st_dev, found.st_ino

    def _follow_file(self) -> None:
        """Connect again if the SQLite file was replaced: open connections keep the removed one.

        Raises:
            RunError: DATABASE_GONE, there is no file any more.
        """
        if self._file is None:
            return
        found = self._found()
        if found is None:
            raise RunError(
                "DATABASE_GONE",
                f"the run tables are gone: '{self._file}' was removed. Expected the file that was "
                "opened. Restore it, or start again with new run tables.",
            )
        if found != self._identity:
            self._engine.dispose()
            ensure_current(self._engine)
            self._identity = found

    def close(self) -> None:
        """Close all connections; using the object again reconnects."""
        self._engine.dispose()


def database_now(session: Session) -> datetime:
    """Return the time of the database's clock: hosts that share a Postgres may have other times."""
    if session.get_bind().dialect.name == "postgresql":
        now: datetime = session.execute(text("SELECT clock_timestamp()")).scalar_one()
        return now
    return utc_now()


def _sqlite_engine(url: URL) -> Engine:
    engine = create_engine(
        url, connect_args={"timeout": failures.BUSY_SECONDS}, pool_size=5, max_overflow=100
    )

    @event.listens_for(engine, "connect")
    def on_connect(connection: sqlite3.Connection, _record: object) -> None:
        connection.isolation_level = None  # the driver must not begin transactions by itself
        connection.execute("PRAGMA foreign_keys=ON")

    @event.listens_for(engine, "begin")
    def on_begin(connection: Connection) -> None:
        reading = connection.get_execution_options().get("snellen_read", False)
        connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")

    return engine


def _set_journal(engine: Engine) -> None:
    mode = "WAL" if sqlite3.sqlite_version_info >= WAL_SAFE else "DELETE"
    raw = engine.raw_connection()
    try:
        cursor = raw.cursor()
        current = str(cursor.execute("PRAGMA journal_mode").fetchone()[0])
        if current.upper() != mode:
            # Another process may be using the file; the next one to open it sets the mode.
            with suppress(sqlite3.OperationalError):
                cursor.execute(f"PRAGMA journal_mode={mode}")
    except sqlite3.DatabaseError as error:
        raise DBAPIError("PRAGMA journal_mode", None, error) from error
    finally:
        raw.close()


def _postgres_engine(url: URL) -> Engine:
    try:
        engine = create_engine(
            url, pool_pre_ping=True, max_overflow=100, connect_args={"connect_timeout": 10}
        )
    except ModuleNotFoundError as error:
        raise InputError(
            "DATABASE_DRIVER",
            f"{url.render_as_string()} needs the Postgres driver, which is not installed. Expected "
            "psycopg 3. Run: pip install 'snellen[postgres]'",
        ) from error

    @event.listens_for(engine, "connect")
    def on_connect(connection: Any, _record: object) -> None:
        connection.autocommit = True
        connection.execute(f"SET lock_timeout = '{failures.BUSY_SECONDS:.0f}s'")
        connection.execute("SET TIME ZONE 'UTC'")
        connection.autocommit = False

    return engine
