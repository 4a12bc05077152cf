"""What every request passes: security headers, host and origin, API keys, room, sizes of bodies."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import os
from collections.abc import Callable, Sequence
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from snellen.serve.api.admission import Admission
from snellen.serve.api.problems import Problem, log, unforeseen
from snellen.serve.api.prometheus import HUNG_UP

KEYS_VARIABLE = "SNELLEN_API_KEYS"
OPEN_PATHS = ("/health/live", "/health/ready")
"""Answered without a key: load balancers and people who wait have none."""
_MAX_JSON = 4 * 2**20
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
_POLICY = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
_LOOPBACK = ("localhost", "127.0.0.1", "::1")

Check = Callable[[Scope, Headers], Problem | None]


def api_keys() -> tuple[str, ...]:
    """The keys of the environment, separated by commas or white space."""
    return tuple(os.environ.get(KEYS_VARIABLE, "").replace(",", " ").split())


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a listener on ``host``."""
    return host in _LOOPBACK or host.startswith("127.")


class KeyCheck:
    """Bearer tokens or ``X-API-Key``, compared in constant time."""

    def __init__(self, keys: Sequence[str]) -> None:
        self._digests = [hashlib.sha256(key.encode()).digest() for key in keys]

    def __call__(self, scope: Scope, headers: Headers) -> Problem | None:
        """None, or 401."""
        if not self._digests or scope["path"] in OPEN_PATHS:
            return None
        given = headers.get("x-api-key", "")
        kind, _, token = headers.get("authorization", "").partition(" ")
        if not given and kind.lower() == "bearer":
            given = token.strip()
        digest = hashlib.sha256(given.encode("latin-1", "replace")).digest()
        # Every key is compared, so that the time does not tell which one was nearly right.
        matches = [hmac.compare_digest(digest, known) for known in self._digests]
        if any(matches):
            return None
        return Problem(
            401,
            "API_KEY",
            "An API key is needed: Authorization: Bearer KEY, or X-API-Key: KEY.",
            headers={"WWW-Authenticate": "Bearer"},
        )


class HostCheck:
    """Refuses foreign host names (DNS rebinding) and pages of other origins."""

    def __init__(self, allowed_hosts: Sequence[str], origins: Sequence[str]) -> None:
        self._hosts = frozenset(host.lower() for host in allowed_hosts)
        self._origins = frozenset(origin.rstrip("/").lower() for origin in origins)

    def __call__(self, scope: Scope, headers: Headers) -> Problem | None:
        """None, 400 or 403."""
        host = ",".join(headers.getlist("host"))  # of two, another one may be read by others
        if self._hosts and _name_of(host) not in self._hosts:
            return Problem(400, "HOST", "This host name is not served here.")
        origin = headers.get("origin", "").lower()
        if not origin or origin in self._origins:
            return None
        if _place_of(origin) == host.lower():
            return None
        return Problem(403, "ORIGIN", "Web pages of other origins may not ask.")


def _name_of(host: str) -> str:
    try:
        return (urlsplit(f"//{host}").hostname or "").lower()
    except ValueError:
        return ""


def _place_of(origin: str) -> str | None:
    try:
        return urlsplit(origin).netloc or None
    except ValueError:
        return None


class RoomCheck:
    """Refuses uploads as early as can be where the queue is full: what a refusal costs is taken
    from the work on those that were let in.
    """

    def __init__(self, admission: Admission, uploads: Sequence[str]) -> None:
        self._admission = admission
        self._uploads = frozenset(uploads)

    def __call__(self, scope: Scope, _: Headers) -> Problem | None:
        """None, or 503."""
        if scope["method"] != "POST" or scope["path"] not in self._uploads:
            return None
        try:
            self._admission.check()
        except Problem as problem:
            return problem
        return None


def loopback_hosts() -> tuple[str, ...]:
    """The names by which this machine calls itself."""
    return _LOOPBACK


class Guard:
    """The outermost layer: checks before, security headers after, 500 for what nobody foresaw."""

    def __init__(self, app: ASGIApp, *, checks: Sequence[Check]) -> None:
        self._app = app
        self._checks = tuple(checks)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = False

        async def send_safe(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
                headers.setdefault("Content-Security-Policy", _POLICY)
            await send(message)

        refused = self._refusal(scope)
        if refused is not None:
            await refused.response()(scope, receive, send_safe)
            return
        try:
            await self._app(scope, receive, send_safe)
        except ClientDisconnect:
            if not started:  # nobody reads it, but it is counted
                await Response(status_code=HUNG_UP)(scope, receive, send_safe)
        except Exception:
            log.exception("unforeseen error at %s", scope["path"])
            if started:
                raise
            await unforeseen().response()(scope, receive, send_safe)

    def _refusal(self, scope: Scope) -> Problem | None:
        headers = Headers(scope=scope)
        for check in self._checks:
            refused = check(scope, headers)
            if refused is not None:
                return refused
        return None


class HeadAsGet:
    """HEAD is answered wherever GET is; the server leaves the body out."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] == "http" and scope["method"] == "HEAD":
            scope = {**scope, "method": "GET"}  # a copy: the server goes on knowing what was asked
        await self._app(scope, receive, send)


class JsonLimit:
    """Bounds the bytes and the time of bodies that are no uploads, chunked ones too."""

    def __init__(self, app: ASGIApp, *, uploads: Sequence[str], timeout_s: float) -> None:
        self._app = app
        self._uploads = frozenset(uploads)
        self._timeout_s = timeout_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http" or scope["path"] in self._uploads:
            await self._app(scope, receive, send)
            return
        deadline = asyncio.get_running_loop().time() + self._timeout_s
        seen, whole = 0, False

        async def bounded() -> Message:
            nonlocal seen, whole
            if whole:
                return await receive()
            try:
                async with asyncio.timeout_at(deadline):
                    message = await receive()
            except TimeoutError:
                raise Problem(
                    408, "BODY_TIMEOUT", f"The request did not arrive within {self._timeout_s:g} s."
                ) from None
            seen += len(message.get("body", b""))
            whole = not message.get("more_body", False)
            if seen > _MAX_JSON:
                raise Problem(413, "BYTE_LIMIT", f"The body is larger than {_MAX_JSON} bytes.")
            return message

        await self._app(scope, bounded, send)
