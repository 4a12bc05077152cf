"""The existing database of a call, closed again after it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from snellen.store.sql.database import Database


@contextmanager
def opened(url: str | None) -> Iterator[Database]:
    """Open the run tables at ``url``, or the usual ones.

    Raises:
        InputError: DATABASE_NOT_FOUND.
    """
    db = Database.open(url, create=False)
    try:
        yield db
    finally:
        db.close()
