"""Sessions of the web pages: neither the token of a session nor its API key is stored."""

from __future__ import annotations

import hashlib
import secrets
from datetime import timedelta
from typing import Any

from sqlalchemy import delete, insert, select

from snellen.store.sql.columns import utc_now
from snellen.store.sql.database import Database
from snellen.store.sql.service_tables import WebSession

_SESSIONS: Any = WebSession.__table__


def create_session(db: Database, key_hash: str, lifetime: timedelta) -> str:
    """Store a session and return its token; sessions that have expired are deleted."""
    token, now = secrets.token_urlsafe(32), utc_now()
    with db.session() as session:
        session.execute(delete(_SESSIONS).where(_SESSIONS.c.expires_at <= now))
        session.execute(
            insert(_SESSIONS).values(
                token_hash=_hash(token), key_hash=key_hash, expires_at=now + lifetime
            )
        )
    return token


def session_key(db: Database, token: str) -> str | None:
    """Return the hash of the API key of a session; None if there is none, or it has expired."""
    query = select(_SESSIONS.c.key_hash).where(
        _SESSIONS.c.token_hash == _hash(token), _SESSIONS.c.expires_at > utc_now()
    )
    found = db.query(lambda session: session.scalar(query))
    return None if found is None else str(found)


def delete_session(db: Database, token: str) -> None:
    """Delete a session, if there is one."""
    with db.session() as session:
        session.execute(delete(_SESSIONS).where(_SESSIONS.c.token_hash == _hash(token)))


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
