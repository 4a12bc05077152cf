"""Database URLs: defaults, drivers, and the checks of a SQLite file."""

from __future__ import annotations

import os
from pathlib import Path

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from snellen.adapters.errors import InputError
from snellen.store.sql.mounts import network_filesystem

ENVIRONMENT = "SNELLEN_DATABASE"
DEFAULT_URL = "sqlite:///runs/snellen.db"

_SQLITE = {"sqlite", "sqlite+pysqlite"}
_POSTGRES = {"postgres", "postgresql", "postgresql+psycopg"}


def resolve_url(url: str | None) -> URL:
    """Return the complete URL of a database.

    Args:
        url: ``sqlite:///relative.db``, ``sqlite:////absolute.db``, a bare path ending in ``.db``
            or ``.sqlite``, ``postgresql://user:password@host/name``; None takes the environment
            variable ``SNELLEN_DATABASE``, else ``sqlite:///runs/snellen.db``.

    Raises:
        InputError: DATABASE_URL, for any other URL.
    """
    text = url or os.environ.get(ENVIRONMENT) or DEFAULT_URL
    if "://" not in text and Path(text).suffix in {".db", ".sqlite", ".sqlite3"}:
        text = f"sqlite:///{text}"
    try:
        parsed = make_url(text)
    except (ArgumentError, ValueError):
        raise _invalid("the database URL cannot be parsed") from None
    if parsed.drivername in _POSTGRES:
        return parsed.set(drivername="postgresql+psycopg")
    if parsed.drivername not in _SQLITE:
        raise _invalid(f"{parsed.drivername}:// is not supported")
    if not parsed.database or parsed.database == ":memory:" or parsed.query:
        raise _invalid(
            f"{parsed.render_as_string()} is not a plain file, which several processes can share"
        )
    return URL.create("sqlite", database=str(Path(parsed.database).expanduser().absolute()))


def _invalid(problem: str) -> InputError:
    return InputError(
        "DATABASE_URL",
        f"{problem}. Expected sqlite:///path/to/file.db or postgresql://user@host/name. Set it "
        f"with --database, the key database or the environment variable {ENVIRONMENT}.",
    )


def prepare_sqlite_file(path: Path, *, create: bool) -> None:
    """Create the SQLite file if it is missing, and check that its locks work.

    A new file can be read and written by its owner only.

    Raises:
        InputError: DATABASE_NETWORK_FS, DATABASE_NOT_FOUND (``create`` is False) or
            DATABASE_UNREACHABLE (the folder or file cannot be created).
    """
    kind = network_filesystem(path)
    if kind:
        raise InputError(
            "DATABASE_NETWORK_FS",
            f"{path} is on a network filesystem ({kind}), where file locks do not work and the "
            "file can be corrupted. Expected a SQLite database on a local disk. Set the database "
            "to a local file, or to postgresql://... for several machines.",
        )
    if path.exists():
        return
    if not create:
        raise InputError(
            "DATABASE_NOT_FOUND",
            f"there is no database at {path}. Expected an existing file. Run the command in the "
            f"folder of the runs, or name the database with --database or {ENVIRONMENT}.",
        )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    except OSError as error:
        raise InputError(
            "DATABASE_UNREACHABLE",
            f"the database {path} cannot be created: {error.strerror}. Expected a writable folder. "
            "Name another file with --database.",
        ) from error
