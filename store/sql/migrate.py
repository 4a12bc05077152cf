"""Migrate the tables to the newest revision, once for any number of concurrent processes."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection, Engine, inspect, text

from snellen.adapters.errors import InputError
from snellen.store.migrations import HEAD, REVISIONS, VERSION_TABLE

_ADVISORY_LOCK = 0x534E454C4C454E  # "SNELLEN"


def ensure_current(engine: Engine) -> None:
    """Migrate the database to `HEAD`; fast and without alembic if it is up to date.

    Raises:
        InputError: DATABASE_NEWER or DATABASE_FOREIGN.
    """
    with engine.execution_options(snellen_read=True).connect() as connection:
        if current_revision(connection) == HEAD:
            return
    with engine.begin() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _ADVISORY_LOCK})
        # Another process may have migrated while this one waited for the lock.
        revision = current_revision(connection)
        if revision == HEAD:
            return
        _check_ours(connection, revision)
        upgrade(connection, HEAD)


def current_revision(connection: Connection) -> str | None:
    """Return the revision of the database, or None without our tables."""
    if not inspect(connection).has_table(VERSION_TABLE):
        return None
    revision: str | None = connection.execute(
        text(f"SELECT version_num FROM {VERSION_TABLE}")
    ).scalar_one_or_none()
    return revision


def _check_ours(connection: Connection, revision: str | None) -> None:
    where = connection.engine.url.render_as_string()
    if revision is not None and revision not in REVISIONS:
        raise InputError(
            "DATABASE_NEWER",
            f"{where} is at revision {revision}, written by a newer version of snellen. Expected "
            f"{HEAD} or older. Run: pip install -U snellen",
        )
    if revision is None:
        from snellen.store.sql.models import Base

        present = set(inspect(connection).get_table_names()) & set(Base.metadata.tables)
        if present:
            raise InputError(
                "DATABASE_FOREIGN",
                f"{where} has tables of another program: {', '.join(sorted(present))}. Expected an "
                "empty database or one of snellen. Name another database.",
            )


def upgrade(connection: Connection, revision: str) -> None:
    """Run the migrations up to ``revision`` inside the connection's transaction."""
    from alembic import command

    command.upgrade(_config(connection), revision)


def downgrade(connection: Connection, revision: str) -> None:
    """Undo migrations down to ``revision`` (``base`` drops every table)."""
    from alembic import command

    command.downgrade(_config(connection), revision)


def _config(connection: Connection):  # type: ignore[no-untyped-def]
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parents[1] / "migrations"))
    config.attributes["connection"] = connection
    return config
