"""Client connections: uvicorn's, with limits on their number, header size and duration.

uvicorn waits forever for a client that does not finish a request, and accepts headers of any size.
A reverse proxy would enforce these limits, but there may be none.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from snellen.serve.api.problems import MEDIA_TYPE, Problem, overloaded
from snellen.serve.config import LimitsConfig

MAX_HEAD = 64 * 1024
"""Maximum size of a request line with its headers, in bytes."""
_HEADER_MARKS = 4
"""Bytes of a header besides name and value: colon, space, end of the line."""
_GRACE_S = 5.0
"""Additional time in which the application itself can respond with 408, in seconds."""
_LONG_UPLOADS = frozenset((b"/inference/batch",))
"""Paths whose bodies have ``limits.upload_timeout_s`` to arrive."""


class Connection(HttpToolsProtocol):
    """One of at most ``limits.max_connections`` connections of this process.

    The connection is closed if a request is not complete ``limits.body_timeout_s`` plus a grace
    period after its first byte, whether or not a response was sent; or if no request arrives.
    """

    limits = LimitsConfig()

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._overdue: asyncio.TimerHandle | None = None
        self._in_head = False
        self._head = 0
        self._parsed = 0
        self._messages = 0
        self._rejected = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Implement asyncio.Protocol."""
        super().connection_made(transport)
        if len(self.connections) > self.limits.max_connections:
            after = self.limits.retry_after_s
            self._reject(overloaded(after, "OVERLOADED", "Too many connections are open."))
            return
        self._expect_request()

    def connection_lost(self, exc: Exception | None) -> None:
        """Implement asyncio.Protocol."""
        super().connection_lost(exc)
        self._expect_nothing()

    def data_received(self, data: bytes) -> None:
        """Implement asyncio.Protocol."""
        if self.transport.is_closing():
            return
        before = self._messages
        super().data_received(data)
        # Bytes of the call in which a head began are not counted: most may be the body before it.
        if self._in_head and self._messages == before:
            self._head += len(data)
            if self._head > MAX_HEAD:
                self._reject_head()

    def on_message_begin(self) -> None:
        """Handle the first byte of a request (httptools)."""
        super().on_message_begin()
        self._in_head, self._head, self._parsed = True, 0, 0
        self._messages += 1
        if self._overdue is None:
            self._expect_request()

    def on_url(self, url: bytes) -> None:
        """Handle a part of the URL (httptools)."""
        self._parsed += len(url)
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Handle a header (httptools)."""
        self._parsed += len(name) + len(value) + _HEADER_MARKS
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Handle the end of the headers (httptools)."""
        self._in_head = False
        # A whole head may arrive in one call, however large it is.
        if self._parsed > MAX_HEAD:
            self._reject_head()
        if not self._rejected:
            if self.url.partition(b"?")[0] in _LONG_UPLOADS:
                self._expect_nothing()
                self._expect_request(self.limits.upload_timeout_s)
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Handle a part of the body (httptools)."""
        if not self._rejected:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """Handle the last byte of a request (httptools)."""
        if not self._rejected:
            super().on_message_complete()
        self._expect_nothing()

    def send_400_response(self, msg: str) -> None:
        """Respond to data that is not HTTP (uvicorn)."""
        self._reject(Problem(400, "BAD_REQUEST", msg))

    def _expect_request(self, seconds: float | None = None) -> None:
        seconds = self.limits.body_timeout_s if seconds is None else seconds
        self._overdue = self.loop.call_later(seconds + _GRACE_S, self._close)

    def _expect_nothing(self) -> None:
        if self._overdue is not None:
            self._overdue.cancel()
            self._overdue = None

    def _close(self) -> None:
        self._overdue = None
        if not self.transport.is_closing():
            self.transport.close()

    def _reject_head(self) -> None:
        detail = f"The request headers are larger than {MAX_HEAD} bytes."
        self._reject(Problem(431, "HEAD_LIMIT", detail))

    def _reject(self, problem: Problem) -> None:
        """Respond without the application, and close the connection."""
        if self._rejected:
            return
        self._rejected = True
        body = json.dumps(problem.document()).encode()
        headers = {
            **(problem.headers or {}),
            "content-type": MEDIA_TYPE,
            "content-length": str(len(body)),
            "x-content-type-options": "nosniff",
            "cache-control": "no-store",
            "connection": "close",
        }
        lines = [f"{name}: {value}\r\n".encode() for name, value in headers.items()]
        self._expect_nothing()
        if not self._responding():
            self.transport.write(b"".join((STATUS_LINE[problem.status], *lines, b"\r\n", body)))
        self.transport.close()

    def _responding(self) -> bool:
        """Return True while the application is sending a response."""
        cycle = self.cycle
        return cycle is not None and cycle.response_started and not cycle.response_complete


def bounded(limits: LimitsConfig) -> type[Connection]:
    """Create a connection class with these limits; uvicorn takes a class, not a factory."""
    return type("BoundedConnection", (Connection,), {"limits": limits})
