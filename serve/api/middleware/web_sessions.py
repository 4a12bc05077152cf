"""Sessions of browsers: signed in with an API key, remembered by the database."""

from __future__ import annotations

import threading
from datetime import timedelta

from cachetools import TTLCache

from snellen.serve.api.middleware.api_keys import KnownKeys, hash_key
from snellen.store.service.web_sessions import create_session, delete_session, session_key
from snellen.store.sql.database import Database

LIFETIME = timedelta(hours=12)
_MAX_TOKEN = 200
_CACHED, _CACHE_S = 10_000, 10.0


class WebSessions:
    """Creates, finds and ends sessions. Safe to share between threads.

    A session that another process has ended is still accepted for ten seconds.
    """

    def __init__(self, db: Database, keys: KnownKeys) -> None:
        self._db = db
        self.keys = keys
        self._lock = threading.Lock()
        self._found: TTLCache[str, str | None] = TTLCache(_CACHED, _CACHE_S)

    def sign_in(self, key: str) -> str | None:
        """Return the token of a new session; None if there is no such key."""
        key_hash = hash_key(key.encode("utf-8", "replace"))
        if self.keys.scopes(key_hash) is None:
            return None
        return create_session(self._db, key_hash, LIFETIME)

    def key_of(self, token: str) -> str | None:
        """Return the hash of the API key of a session; None if there is no such session."""
        if len(token) > _MAX_TOKEN:
            return None
        with self._lock:
            if token in self._found:
                return self._found[token]
        found = session_key(self._db, token)
        with self._lock:
            self._found[token] = found
        return found

    def sign_out(self, token: str) -> None:
        """End a session."""
        delete_session(self._db, token)
        with self._lock:
            self._found.pop(token, None)
