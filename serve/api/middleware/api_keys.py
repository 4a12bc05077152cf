"""API keys: read from the environment, compared in constant time."""

from __future__ import annotations

import hashlib
import hmac
import os
from collections.abc import Sequence

from starlette.datastructures import Headers
from starlette.types import Scope

from snellen.serve.api.problems import Problem

KEYS_VARIABLE = "SNELLEN_API_KEYS"
OPEN_PATHS = ("/health/live", "/health/ready")
"""Paths that need no key: load balancers have none."""


def api_keys() -> tuple[str, ...]:
    """Return the keys in ``SNELLEN_API_KEYS``, separated by commas or white space."""
    return tuple(os.environ.get(KEYS_VARIABLE, "").replace(",", " ").split())


class ApiKeyCheck:
    """Require a bearer token or ``X-API-Key``; without keys every request is accepted."""

    def __init__(self, keys: Sequence[str]) -> None:
        self._digests = [hashlib.sha256(key.encode()).digest() for key in keys]

    def __call__(self, scope: Scope, headers: Headers) -> Problem | None:
        """Return a problem (401), or None to accept the request."""
        if not self._digests or scope["path"] in OPEN_PATHS:
            return None
        given = headers.get("x-api-key", "")
        scheme, _, token = headers.get("authorization", "").partition(" ")
        if not given and scheme.lower() == "bearer":
            given = token.strip()
        digest = hashlib.sha256(given.encode("latin-1", "replace")).digest()
        # Compare with every key, so that the time taken does not depend on which one matches.
        matches = [hmac.compare_digest(digest, known) for known in self._digests]
        if any(matches):
            return None
        return Problem(
            401,
            "API_KEY",
            "An API key is required. Send Authorization: Bearer KEY, or X-API-Key: KEY.",
            headers={"WWW-Authenticate": "Bearer"},
        )
