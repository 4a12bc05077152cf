"""Translation of database errors into errors that a user can act on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import DBAPIError, TimeoutError

from snellen.adapters.errors import InputError, RunError, SnellenError

BUSY_SECONDS = 30.0
"""Maximum time in seconds that a transaction waits for another writer."""


class ConnectionDropped(RunError):  # noqa: N818 - a state, read as one
    """The connection to the database was lost; a repeatable operation can be retried."""


def explain(error: DBAPIError, where: str) -> SnellenError | None:
    """Return the error to show instead of ``error``, or None for an error of the code.

    Args:
        error: from the database driver.
        where: URL of the database, without its password.
    """
    text = str(error.orig).strip()
    low = text.lower()
    if error.connection_invalidated:
        return ConnectionDropped(
            "DATABASE_CONNECTION",
            f"the connection to {where} was lost: {text}. Expected a response. Check the server, "
            "then resume the run: committed units are kept.",
        )
    if "is locked" in low or "lock timeout" in low:
        return RunError(
            "DATABASE_LOCKED",
            f"{where} was locked by another process for {BUSY_SECONDS:.0f} s. Expected to write to "
            "it. End that process or use postgresql://..., then resume the run: committed units "
            "are kept.",
        )
    if "disk is full" in low or "no space left" in low:
        return RunError(
            "DISK_FULL",
            f"the disk of {where} is full. Expected free space. Free some, then resume the run: "
            "committed units are kept.",
        )
    if "readonly database" in low or "read-only transaction" in low:
        return RunError(
            "DATABASE_READONLY",
            f"{where} is read-only. Expected to write to it. Check the permissions of the file "
            "and its folder.",
        )
    if "not a database" in low or "malformed" in low:
        return InputError(
            "DATABASE_INVALID",
            f"{where} cannot be read: {text}. Expected a SQLite database. Name another file.",
        )
    if "unable to open" in low or "connection failed" in low or "connection timeout" in low:
        return InputError(
            "DATABASE_UNREACHABLE",
            f"{where} cannot be opened: {text}. Expected a connection. Check the address, the "
            "server and the permissions.",
        )
    return None


@contextmanager
def explained(where: str) -> Iterator[None]:
    """Raise database errors of the block as `explain` translates them."""
    try:
        yield
    except DBAPIError as error:
        shown = explain(error, where)
        if shown is None:
            raise
        raise shown from error
    except TimeoutError as error:
        raise RunError(
            "DATABASE_LOCKED",
            f"no connection to {where} is free: {error}. Expected one. Use fewer threads.",
        ) from error
