"""API keys and their scopes: read from the environment, compared in constant time."""

from __future__ import annotations

import hashlib
import hmac
import os
from collections.abc import Sequence

from starlette.datastructures import Headers
from starlette.types import Scope

from snellen.adapters.errors import ConfigError
from snellen.serve.api.problems import Problem

KEYS_VARIABLE = "SNELLEN_API_KEYS"
OPEN_PATHS = ("/health/live", "/health/ready")
"""Paths that need no key: load balancers have none."""
READ, RUN, DELETE, ADMIN = "read", "run", "delete", "admin"
SCOPES = (READ, RUN, DELETE, ADMIN)
"""Scopes of a key; ``admin`` includes all others."""
_FOR_ADMIN = ("/inference/training-jobs", "/inference/datasets")
"""Paths below which everything but reading needs ``admin``."""
_READING = ("GET", "HEAD", "OPTIONS")


def api_keys() -> tuple[str, ...]:
    """Return the keys in ``SNELLEN_API_KEYS``, separated by commas or white space.

    A key may end with its scopes: ``KEY:read+run``.
    """
    return tuple(os.environ.get(KEYS_VARIABLE, "").replace(",", " ").split())


def parse_key(text: str) -> tuple[str, frozenset[str]]:
    """Return a key and its scopes; a key without scopes has all of them.

    Raises:
        ConfigError: API_KEY_SCOPE, an unknown scope, or no key before it.
    """
    key, colon, listed = text.rpartition(":")
    if not colon:
        return text, frozenset(SCOPES)
    scopes = frozenset(listed.split("+"))
    if not key or not scopes <= frozenset(SCOPES):
        raise ConfigError(
            "API_KEY_SCOPE",
            f"{KEYS_VARIABLE}: a key ends with ':{listed}', which are no scopes. Expected KEY, or "
            f"KEY:SCOPE+SCOPE with scopes of {', '.join(SCOPES)}. Write KEY:read+run, for example.",
        )
    return key, frozenset(SCOPES) if ADMIN in scopes else scopes


def scope_of(method: str, path: str) -> str:
    """Return the scope that a request needs."""
    if method in _READING:
        return READ
    if any(path == place or path.startswith(f"{place}/") for place in _FOR_ADMIN):
        return ADMIN
    return DELETE if method == "DELETE" else RUN


class ApiKeyCheck:
    """Require a bearer token or ``X-API-Key`` with the scope of the request.

    Without keys every request is accepted.
    """

    def __init__(self, keys: Sequence[str]) -> None:
        parsed = [parse_key(key) for key in keys]
        self._known = [(hashlib.sha256(key.encode()).digest(), scopes) for key, scopes in parsed]

    def __call__(self, scope: Scope, headers: Headers) -> Problem | None:
        """Return a problem (401 or 403), or None to accept the request."""
        if not self._known or scope["path"] in OPEN_PATHS:
            return None
        given = headers.get("x-api-key", "")
        scheme, _, token = headers.get("authorization", "").partition(" ")
        if not given and scheme.lower() == "bearer":
            given = token.strip()
        digest = hashlib.sha256(given.encode("latin-1", "replace")).digest()
        # Compare with every key, so that the time taken does not depend on which one matches.
        matches = [scopes for known, scopes in self._known if hmac.compare_digest(digest, known)]
        if not matches:
            return Problem(
                401,
                "API_KEY",
                "An API key is required. Send Authorization: Bearer KEY, or X-API-Key: KEY.",
                headers={"WWW-Authenticate": "Bearer"},
            )
        needed = scope_of(scope["method"], scope["path"])
        if needed in frozenset[str]().union(*matches):
            return None
        return Problem(
            403, "SCOPE", f"This API key does not have the scope '{needed}', which is needed here."
        )
