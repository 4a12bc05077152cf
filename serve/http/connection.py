"""A connection of a client: uvicorn's, with bounds on its number, its heads and its slowness.

uvicorn waits for ever for a client that begins a request and does not end it, and takes heads of
any size; behind a reverse proxy that is the proxy's business, here there may be none.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from snellen.serve.api.problems import MEDIA_TYPE, Problem, overloaded
from snellen.serve.config import LimitsConfig

MAX_HEAD = 64 * 1024
"""Bytes of a request line and its headers."""
_GRACE_S = 5.0
"""In which the application itself may say 408, with reasons."""


class Connection(HttpToolsProtocol):
    """One of at most ``limits.max_connections`` of this process.

    A request that is not whole ``limits.body_timeout_s`` and a grace after its first byte ends its
    connection, whether it was answered meanwhile or not; so does a connection without a request.
    """

    limits = LimitsConfig()

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._overdue: asyncio.TimerHandle | None = None
        self._in_head = False
        self._head = 0
        self._messages = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """asyncio."""
        super().connection_made(transport)
        if len(self.connections) > self.limits.max_connections:
            after = self.limits.retry_after_s
            self._refuse(overloaded(after, "OVERLOADED", "Too many connections are open."))
            return
        self._expect_request()

    def connection_lost(self, exc: Exception | None) -> None:
        """asyncio."""
        super().connection_lost(exc)
        self._expect_nothing()

    def data_received(self, data: bytes) -> None:
        """asyncio."""
        if self.transport.is_closing():
            return
        before = self._messages
        super().data_received(data)
        # What began within these bytes is not counted: most of them may be the body before it.
        if self._in_head and self._messages == before:
            self._head += len(data)
            if self._head > MAX_HEAD:
                detail = f"The request's head is larger than {MAX_HEAD} bytes."
                self._refuse(Problem(431, "HEAD_LIMIT", detail))

    def on_message_begin(self) -> None:
        """httptools: the first byte of a request."""
        super().on_message_begin()
        self._in_head, self._head = True, 0
        self._messages += 1
        if self._overdue is None:
            self._expect_request()

    def on_headers_complete(self) -> None:
        """httptools."""
        self._in_head = False
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """httptools: the last byte of a request."""
        super().on_message_complete()
        self._expect_nothing()

    def send_400_response(self, msg: str) -> None:
        """uvicorn: what came is no HTTP."""
        self._refuse(Problem(400, "BAD_REQUEST", msg))

    def _expect_request(self) -> None:
        seconds = self.limits.body_timeout_s + _GRACE_S
        self._overdue = self.loop.call_later(seconds, self._close)

    def _expect_nothing(self) -> None:
        if self._overdue is not None:
            self._overdue.cancel()
            self._overdue = None

    def _close(self) -> None:
        self._overdue = None
        if not self.transport.is_closing():
            self.transport.close()

    def _refuse(self, problem: Problem) -> None:
        """Answer below the application, and hang up."""
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
        if not self._answering():
            self.transport.write(b"".join((STATUS_LINE[problem.status], *lines, b"\r\n", body)))
        self.transport.close()

    def _answering(self) -> bool:
        """Whether another answer would stand in the middle of one."""
        cycle = self.cycle
        return cycle is not None and cycle.response_started and not cycle.response_complete


def bounded(limits: LimitsConfig) -> type[Connection]:
    """Connections with the limits of a configuration, for uvicorn, which makes them by class."""
    return type("BoundedConnection", (Connection,), {"limits": limits})
