"""Sessions of the web pages, on SQLite and Postgres."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import select

from snellen.store.service.web_sessions import create_session, delete_session, session_key
from snellen.store.sql.database import Database
from snellen.store.sql.service_tables import WebSession


def test_a_session_lasts_until_it_is_deleted(db: Database) -> None:
    token = create_session(db, "hash-of-key", timedelta(hours=1))
    assert len(token) >= 40
    assert session_key(db, token) == "hash-of-key"
    assert session_key(db, token + "x") is None
    delete_session(db, token)
    assert session_key(db, token) is None
    delete_session(db, token)


def test_a_session_expires_and_is_removed_by_the_next_one(db: Database) -> None:
    old = create_session(db, "a", timedelta(0))
    assert session_key(db, old) is None
    new = create_session(db, "b", timedelta(hours=1))
    with db.read() as session:
        kept = session.scalars(select(WebSession)).all()
        assert [one.key_hash for one in kept] == ["b"]
        assert new not in {one.token_hash for one in kept}  # the token itself is not stored
