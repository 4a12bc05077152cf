"""Client connections: uvicorn's, with limits on their number, header size and duration.

uvicorn waits forever for a client that does not finish a request, and accepts headers of any size.
A reverse proxy would enforce these limits, but there may be none.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any, ClassVar, cast

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from snellen.serve.api.middleware.access_log import (
    ENTRY_IN_SCOPE,
    HEADER,
    redacted_query,
    request_id_of,
)
from snellen.serve.api.problems import MEDIA_TYPE, Problem, overloaded
from snellen.serve.config import LimitsConfig
from snellen.serve.http.lingering import LingeringTransport
from snellen.serve.logs import AccessEntry, write_entry

MAX_HEAD = 64 * 1024
"""Maximum size of a request line with its headers, in bytes."""
_HEADER_MARKS = 4
"""Bytes of a header besides name and value: colon, space, end of the line."""
_GRACE_S = 5.0
"""Additional time in which the application itself can respond with 408, in seconds."""
_MAX_EXCESS, _EXCESS_S = 64, 2.0
"""Maximum number of connections above the limit that wait until the client has read its 503, and
the seconds that each of them waits."""
_LAST_S = 0.2
"""Time to wait for clients that are still sending when the server stops, in seconds."""
_LONG_UPLOAD = b"/inference/batch"
"""Path, below any prefix, to which bodies have ``limits.upload_timeout_s`` to arrive."""


class Connection(HttpToolsProtocol):
    """One of at most ``limits.max_connections`` connections of this process.

    The connection is closed if a request is not complete ``limits.body_timeout_s`` plus a grace
    period after its first byte, or if no request arrives. If the response is sent first, the rest
    of the request is discarded, up to ``limits.discard_bytes`` and ``limits.discard_timeout_s``, so
    that the client receives the response before the connection is closed.
    """

    limits = LimitsConfig()
    excess: ClassVar[set[Connection]] = set()
    """Connections above the limit that are being closed."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._overdue: asyncio.TimerHandle | None = None
        self._socket: LingeringTransport
        self._discard_s = self.limits.discard_timeout_s
        self._arriving = False
        self._in_head = False
        self._head = 0
        self._parsed = 0
        self._messages = 0
        self._rejected = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Implement asyncio.Protocol."""
        self._socket = LingeringTransport(
            transport, self.loop, self.limits.discard_bytes, self._time_to_discard
        )
        super().connection_made(self._socket)
        if len(self.connections) > self.limits.max_connections:
            self.connections.discard(self)
            self.excess.add(self)
            self._discard_s = _EXCESS_S if len(self.excess) <= _MAX_EXCESS else 0.0
            after = self.limits.retry_after_s
            detail = "Too many connections are open (limits.max_connections)."
            self._reject(overloaded(after, "OVERLOADED", detail))
            return
        self._expect_request()

    def connection_lost(self, exc: Exception | None) -> None:
        """Implement asyncio.Protocol."""
        super().connection_lost(exc)
        self.excess.discard(self)
        self._expect_nothing()
        self._socket.stop_timers()

    def data_received(self, data: bytes) -> None:
        """Implement asyncio.Protocol."""
        if self._socket.lingering:
            self._socket.discard(len(data))
            return
        if self._socket.is_closing():
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
        self._arriving, self._in_head, self._head, self._parsed = True, True, 0, 0
        self._messages += 1
        self._socket.discarded = 0
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
            if self.url.partition(b"?")[0].endswith(_LONG_UPLOAD):
                self._expect_nothing()
                self._expect_request(self.limits.upload_timeout_s)
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Handle a part of the body (httptools)."""
        if not self._rejected:
            super().on_body(body)
            if self.cycle.response_complete:
                self._socket.discard(len(body))

    def on_message_complete(self) -> None:
        """Handle the last byte of a request (httptools)."""
        if not self._rejected:
            super().on_message_complete()
        self._arriving = False
        self._expect_nothing()

    def on_response_complete(self) -> None:
        """Handle the end of a response (uvicorn): limit the time in which the request arrives."""
        super().on_response_complete()
        if self._arriving and not self._in_head and not self._socket.is_closing():
            seconds = self._time_to_discard()
            self._expect_nothing()
            self._overdue = self.loop.call_later(seconds, self._close)

    def shutdown(self) -> None:
        """Close the connection, after the response that is being sent (uvicorn)."""
        super().shutdown()
        if self._socket.lingering:
            self.loop.call_later(_LAST_S, self._socket.close_now)

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

    def _time_to_discard(self) -> float:
        """Return the seconds for which the rest of a request is discarded; 0 if it is complete."""
        if not self._arriving and not self._rejected:
            return 0.0
        if self._overdue is None:
            return self._discard_s
        return min(self._discard_s, max(0.0, self._overdue.when() - self.loop.time()))

    def _close(self) -> None:
        self._overdue = None
        self._socket.close_now()

    def _reject_head(self) -> None:
        detail = f"The request headers are larger than {MAX_HEAD} bytes."
        self._reject(Problem(431, "HEAD_LIMIT", detail))

    def _reject(self, problem: Problem) -> None:
        """Respond without the application, and close the connection."""
        if self._rejected:
            return
        self._rejected = True
        body = json.dumps(problem.document()).encode()
        entry = self._entry()
        headers = {
            **(problem.headers or {}),
            "content-type": MEDIA_TYPE,
            "content-length": str(len(body)),
            "x-content-type-options": "nosniff",
            "cache-control": "no-store",
            HEADER.decode(): entry.request_id,
            "connection": "close",
        }
        lines = [f"{name}: {value}\r\n".encode() for name, value in headers.items()]
        if self._responding():
            self._socket.close_now()
        else:
            entry.status, entry.bytes_sent = problem.status, len(body)
            self._socket.write(b"".join((STATUS_LINE[problem.status], *lines, b"\r\n", body)))
            self._socket.close()
        self._expect_nothing()
        if self.cycle is not None:
            # The application must not wait for the rest.
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        if not self._in_application():
            write_entry(entry)

    def _entry(self) -> AccessEntry:
        """Return the entry of the current request for the access log."""
        if self._in_application():
            found: AccessEntry = cast(dict[str, Any], self.scope)[ENTRY_IN_SCOPE]
            return found
        client = self.client[0] if self.client else ""
        if not self._arriving:
            return AccessEntry(client, "", "", "", request_id_of(()))
        method = self.parser.get_method().decode("ascii") if self.url else ""
        path, _, query = self.url.decode("latin-1").partition("?")
        return AccessEntry(client, method, path, redacted_query(query), request_id_of(self.headers))

    def _in_application(self) -> bool:
        """Return True if the application handles the request that is arriving, and logs it."""
        return self._arriving and ENTRY_IN_SCOPE in self.scope

    def _responding(self) -> bool:
        """Return True while the application is sending a response."""
        cycle = self.cycle
        return cycle is not None and cycle.response_started and not cycle.response_complete


def bounded(limits: LimitsConfig) -> type[Connection]:
    """Create a connection class with these limits; uvicorn takes a class, not a factory."""
    return type("BoundedConnection", (Connection,), {"limits": limits, "excess": set()})
