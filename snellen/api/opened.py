"""Context manager for the run tables of one API call."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from snellen.store.sql.database import Database


@contextmanager
def opened(url: str | None) -> Iterator[Database]:
    """Open existing run tables, and close them on exit.

    Args:
        url: URL of the database; None takes the default.

    Raises:
        InputError: DATABASE_NOT_FOUND.
    """
    db = Database.open(url, create=False)
    try:
        yield db
    finally:
        db.close()
