"""API keys and their scopes: read from the environment, compared in constant time."""

from __future__ import annotations

import hashlib
import hmac
import os
from collections.abc import Callable, Sequence
from http.cookies import CookieError, SimpleCookie
from urllib.parse import urlencode

from starlette.datastructures import Headers
from starlette.responses import RedirectResponse, Response
from starlette.types import Scope

from snellen.adapters.errors import ConfigError, SnellenError
from snellen.serve.api.middleware.access_log import ENTRY_IN_SCOPE
from snellen.serve.api.problems import Problem, problem_from_error

KEYS_VARIABLE = "SNELLEN_API_KEYS"
OPEN_PATHS = ("/health/live", "/health/ready", "/v2/health/live", "/v2/health/ready")
"""Paths that need no key: load balancers have none."""
SCOPES_IN_SCOPE = "snellen.scopes"
"""Key of the ASGI scope under which the scopes of a request's key are found."""
SESSION_COOKIE = "snellen_session"
SIGN_IN, SIGN_OUT = "/sign-in", "/sign-out"
"""Paths on which a browser signs in and out."""
_OPEN_FILES, _API = "/ui/static/", "/inference/"
_DOCS, _DOCS_FILES = ("/docs", "/openapi.json"), "/docs/assets/"
READ, RUN, DELETE, ADMIN = "read", "run", "delete", "admin"
SCOPES = (READ, RUN, DELETE, ADMIN)
"""Scopes of a key; ``admin`` includes all others."""
_FOR_ADMIN = ("/inference/training-jobs", "/inference/datasets", "/training-jobs")
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


def hash_key(key: bytes) -> str:
    """Return the hash by which a key is compared and remembered."""
    return hashlib.sha256(key).hexdigest()


class KnownKeys:
    """The configured keys, as hashes, with their scopes."""

    def __init__(self, keys: Sequence[str]) -> None:
        """Parse the keys. Raises ConfigError API_KEY_SCOPE."""
        self._known = [(hash_key(key.encode()), scopes) for key, scopes in map(parse_key, keys)]
        self._labels = {one: f"key-{n}" for n, (one, _) in enumerate(self._known, start=1)}

    def __bool__(self) -> bool:
        """Return True if there is any key."""
        return bool(self._known)

    def label(self, key_hash: str) -> str:
        """Return a name for the key with a hash, by its position: ``key-1``; empty if unknown."""
        return self._labels.get(key_hash, "")

    def scopes(self, key_hash: str) -> frozenset[str] | None:
        """Return the scopes of the key with a hash; None if there is no such key."""
        # Compare with every key, so that the time taken does not depend on which one matches.
        matches = [scopes for known, scopes in self._known if hmac.compare_digest(key_hash, known)]
        return frozenset[str]().union(*matches) if matches else None


class ApiKeyCheck:
    """Require a bearer token, ``X-API-Key`` or a session of a browser, with the request's scope.

    Without keys every request is accepted.
    """

    def __init__(
        self,
        keys: KnownKeys,
        key_of_session: Callable[[str], str | None] = lambda _: None,
        *,
        open_docs: bool = False,
    ) -> None:
        """Create the check.

        Args:
            keys: the configured keys.
            key_of_session: returns the hash of the key of a session's token.
            open_docs: ``/docs`` and ``/openapi.json`` need no key.
        """
        self._keys = keys
        self._open_docs = open_docs
        self._key_of_session = key_of_session

    def __call__(self, scope: Scope, headers: Headers) -> Problem | None:
        """Return a problem (401 or 403), or None to accept the request."""
        if not self._keys:
            return None
        given = _given_key(headers)
        token = None if given else session_token(headers)
        key_hash = hash_key(given.encode("latin-1", "replace")) if given else None
        if token:
            try:
                key_hash = self._key_of_session(token)
            except SnellenError as error:
                return problem_from_error(error)
        scopes = self._keys.scopes(key_hash or "")
        scope[SCOPES_IN_SCOPE] = scopes or frozenset()
        if scopes is not None and ENTRY_IN_SCOPE in scope:
            scope[ENTRY_IN_SCOPE].key = self._keys.label(key_hash or "")
        path = scope["path"]
        if _is_open(path) or (self._open_docs and (path in _DOCS or path.startswith(_DOCS_FILES))):
            return None
        if scopes is None:
            return _unauthorised(scope, headers)
        # Other sites can make a browser send its cookie, but not without their Origin.
        if token and scope["method"] not in _READING and "origin" not in headers:
            return Problem(403, "ORIGIN", "A request with a session needs the header Origin.")
        needed = scope_of(scope["method"], scope["path"])
        if needed in scopes:
            return None
        return Problem(
            403,
            "SCOPE",
            f"This API key does not have the scope '{needed}', which is needed here. "
            f"{KEYS_VARIABLE} of the service sets the scopes of a key.",
        )


class SignInNeeded(Problem):
    """Sends a browser to the page on which it can sign in; other clients get the problem."""

    def __init__(self, location: str) -> None:
        super().__init__(401, "API_KEY", "Sign in with an API key.")
        self.location = location

    def response(self) -> Response:
        """Return a redirect."""
        return RedirectResponse(self.location, 303)


def session_token(headers: Headers) -> str | None:
    """Return the token of the session's cookie, if there is one."""
    try:
        found = SimpleCookie(headers.get("cookie", "")).get(SESSION_COOKIE)
    except CookieError:
        return None
    return None if found is None else found.value


def _given_key(headers: Headers) -> str:
    given = headers.get("x-api-key", "")
    scheme, _, token = headers.get("authorization", "").partition(" ")
    return token.strip() if not given and scheme.lower() == "bearer" else given


def _is_open(path: str) -> bool:
    return path in (*OPEN_PATHS, SIGN_IN, SIGN_OUT) or path.startswith(_OPEN_FILES)


def _unauthorised(scope: Scope, headers: Headers) -> Problem:
    path = str(scope["path"])
    location = str(scope.get("root_path", "")).rstrip("/") + SIGN_IN
    of_page = "text/html" in headers.get("accept", "") and not path.startswith(_API)
    if of_page and scope["method"] in _READING:
        query = scope.get("query_string", b"").decode("latin-1")
        back = path + (f"?{query}" if query else "")
        return SignInNeeded(f"{location}?{urlencode({'next': back})}" if back != "/" else location)
    return Problem(
        401,
        "API_KEY",
        f"An API key of {KEYS_VARIABLE} is required (security.require_keys). Send Authorization: "
        "Bearer KEY, or X-API-Key: KEY.",
        # A part of a page that is refreshed after the end of a session.
        headers={"WWW-Authenticate": "Bearer", "HX-Redirect": location}
        if "hx-request" in headers
        else {"WWW-Authenticate": "Bearer"},
    )
