"""Which database a URL means: names, defaults, drivers, and what is refused."""

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
        InputError: DATABASE_URL, the URL is not one of these.
    """
    text = url or os.environ.get(ENVIRONMENT) or DEFAULT_URL
    if "://" not in text and Path(text).suffix in {".db", ".sqlite", ".sqlite3"}:
        text = f"sqlite:///{text}"
    try:
        parsed = make_url(text)
    except (ArgumentError, ValueError):
        raise _refused("one that cannot be read") from None
    if parsed.drivername in _POSTGRES:
        return parsed.set(drivername="postgresql+psycopg")
    if parsed.drivername not in _SQLITE:
        raise _refused(f"{parsed.drivername}://")
    if not parsed.database or parsed.database == ":memory:" or parsed.query:
        raise _refused(
            f"{parsed.render_as_string()}: a file without options is needed, because several "
            "processes share it"
        )
    return URL.create("sqlite", database=str(Path(parsed.database).expanduser().absolute()))


def _refused(what: str) -> InputError:
    return InputError(
        "DATABASE_URL",
        f"expected a database URL sqlite:///path/to/file.db or postgresql://user@host/name, got "
        f"{what}; set it with --database, the key database or the environment variable "
        f"{ENVIRONMENT}",
    )


def prepare_sqlite_file(path: Path, *, create: bool) -> None:
    """Make sure that the SQLite file exists and that its locks will hold.

    A new file is readable and writable by its owner only.

    Raises:
        InputError: DATABASE_NETWORK_FS, DATABASE_NOT_FOUND (``create`` is false) or
            DATABASE_UNREACHABLE (the folder or file cannot be made).
    """
    kind = network_filesystem(path)
    if kind:
        raise InputError(
            "DATABASE_NETWORK_FS",
            f"expected the SQLite database on a local disk, got {path} on a network filesystem "
            f"({kind}), where file locks do not hold and the file can be corrupted; set the "
            "database to a file on a local disk, or to postgresql://... for several machines",
        )
    if path.exists():
        return
    if not create:
        raise InputError(
            "DATABASE_NOT_FOUND",
            f"expected a database at {path}, found no file there; run the command in the folder "
            f"where the runs were made, or name the database with --database or {ENVIRONMENT}",
        )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    except OSError as error:
        raise InputError(
            "DATABASE_UNREACHABLE",
            f"expected to create the database {path}, got: {error.strerror}; choose a folder that "
            "can be written",
        ) from error
