"""Request ids, and the access log: one line per request, also of those that are rejected."""

from __future__ import annotations

import asyncio
import re
import time
import uuid
from collections.abc import Iterable
from typing import Any
from urllib.parse import unquote_plus

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from snellen.serve.api.middleware.disconnect import CLIENT_CLOSED_REQUEST
from snellen.serve.logs import AccessEntry, current_request_id, write_entry

ENTRY_IN_SCOPE = "snellen.access"
"""Key of the ASGI scope under which the entry of a request is found."""
HEADER = b"x-request-id"
_VALID_ID = re.compile(rb"[A-Za-z0-9._:;=@/+-]{1,128}")
_SECRET_NAME = re.compile(r"key|token|secret|passw|auth|signature|credential|session", re.I)
_USER_IN_URL = re.compile(r"(:|%3a)(/|%2f){2}[^/?#&]*(@|%40)", re.I)
_REDACTED = "***"


def request_id_of(headers: Iterable[tuple[bytes, bytes]]) -> str:
    """Return the id that a client has sent if it is valid, else a new one.

    Valid are 1 to 128 letters, digits and characters of ``._:;=@/+-``, in one header.
    """
    given = [value for name, value in headers if name == HEADER]
    if len(given) == 1 and _VALID_ID.fullmatch(given[0]):
        return given[0].decode("ascii")
    return uuid.uuid4().hex


def redacted_query(query: str) -> str:
    """Return a query string without the values of secrets and passwords in URLs.

    Example:
        >>> redacted_query("limit=5&api_key=abc&path=s3://me:pw@host/a")
        'limit=5&api_key=***&path=s3://***@host/a'
    """
    parts = []
    for part in query.split("&"):
        name, equals, value = part.partition("=")
        secret = equals and _SECRET_NAME.search(unquote_plus(name))
        parts.append(f"{name}={_REDACTED if secret else value}" if equals else name)
    text = "&".join(parts)
    return _USER_IN_URL.sub(lambda match: f"{match[1]}{match[2] * 2}{_REDACTED}{match[3]}", text)


class AccessLog:
    """Give each request an id, return it as ``X-Request-ID``, and log the request."""

    def __init__(self, app: ASGIApp, *, sends_id: bool = True) -> None:
        """Create the middleware.

        Args:
            app: the application.
            sends_id: add the header to responses; false if a proxy of Ray Serve does so.
        """
        self._app = app
        self._sends_id = sends_id

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle an ASGI connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        entry = scope[ENTRY_IN_SCOPE] = _entry(scope)
        identifying = (HEADER, entry.request_id.encode())
        has_body = scope["method"] != "HEAD"

        async def receive_and_count() -> Message:
            message = await receive()
            entry.bytes_received += len(message.get("body", b""))
            if message["type"] == "http.disconnect":
                entry.status = entry.status or CLIENT_CLOSED_REQUEST
            return message

        async def send_and_note(message: Message) -> None:
            if message["type"] == "http.response.start":
                # Not if the client disconnected, or has received a response to malformed data.
                entry.status = entry.status or message["status"]
                if self._sends_id:
                    message["headers"] = [*message.get("headers", ()), identifying]
            elif has_body:
                entry.bytes_sent += len(message.get("body", b""))
            await send(message)

        begin = time.perf_counter()
        token = current_request_id.set(entry.request_id)
        try:
            await self._app(scope, receive_and_count, send_and_note)
        except asyncio.CancelledError:
            entry.status = entry.status or CLIENT_CLOSED_REQUEST
            raise
        finally:
            current_request_id.reset(token)
            entry.status = entry.status or 500
            entry.duration_ms = (time.perf_counter() - begin) * 1000
            write_entry(entry)


def _entry(scope: Scope) -> AccessEntry:
    client: Any = scope.get("client")
    path = scope.get("raw_path") or scope["path"].encode("utf-8", "replace")
    return AccessEntry(
        client[0] if client else "",
        scope["method"],
        path.decode("latin-1"),
        redacted_query(scope.get("query_string", b"").decode("latin-1")),
        request_id_of(scope["headers"]),
    )
