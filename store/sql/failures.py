"""What a database error means to the person who meets it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import DBAPIError, TimeoutError

from snellen.adapters.errors import InputError, RunError, SnellenError

BUSY_SECONDS = 30.0
"""How long a transaction waits for another writer."""


class ConnectionDropped(RunError):  # noqa: N818 - a state, read as one
    """The connection to the database was lost; a repeatable operation may be repeated."""


def explain(error: DBAPIError, where: str) -> SnellenError | None:
    """Return the error to show instead of ``error``, or None when it is a fault of the code.

    Args:
        error: what the driver raised.
        where: the database, without its password.
    """
    text = str(error.orig).strip()
    low = text.lower()
    if error.connection_invalidated:
        return ConnectionDropped(
            "DATABASE_CONNECTION",
            f"expected an answer from {where}, the connection was lost: {text}; check the "
            "server, then resume the run: committed units are kept",
        )
    if "is locked" in low or "lock timeout" in low:
        return RunError(
            "DATABASE_LOCKED",
            f"expected to write to {where} within {BUSY_SECONDS:.0f} s, another process held its "
            "lock all that time; end that process or use postgresql://..., then resume the run: "
            "committed units are kept",
        )
    if "disk is full" in low or "no space left" in low:
        return RunError(
            "DISK_FULL",
            f"expected to write to {where}, the disk is full; free some space and resume the "
            "run: committed units are kept",
        )
    if "readonly database" in low or "read-only transaction" in low:
        return RunError(
            "DATABASE_READONLY",
            f"expected to write to {where}, it can only be read; check the permissions of the "
            "file and its folder",
        )
    if "not a database" in low or "malformed" in low:
        return InputError(
            "DATABASE_INVALID",
            f"expected a SQLite database at {where}, got: {text}; name another file",
        )
    if "unable to open" in low or "connection failed" in low or "connection timeout" in low:
        return InputError(
            "DATABASE_UNREACHABLE",
            f"expected to connect to {where}, got: {text}; check the address, the server and "
            "the permissions",
        )
    return None


@contextmanager
def explained(where: str) -> Iterator[None]:
    """Within this block database errors that a user can act on are raised as such."""
    try:
        yield
    except DBAPIError as error:
        shown = explain(error, where)
        if shown is None:
            raise
        raise shown from error
    except TimeoutError as error:
        raise RunError(
            "DATABASE_LOCKED", f"no free connection to {where}: {error}; use fewer threads"
        ) from error
