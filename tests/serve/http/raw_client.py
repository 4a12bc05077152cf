"""A raw HTTP client: partial requests, garbage, and connections that stay open."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from starlette.types import ASGIApp, Receive, Scope, Send

from snellen.serve.config import LimitsConfig
from snellen.serve.http.server import Listener
from tests.ray_cluster import free_port


class CountingApp:
    """Respond with the size of the body; at ``/reject`` with 503, before reading it."""

    def __init__(self) -> None:
        self.requests: list[str] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _lifespan(receive, send)
            return
        self.requests.append(scope["path"])
        status, count, more = 200, 0, True
        if scope["path"] == "/reject":
            status, more = 503, False
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            count += len(message.get("body", b""))
            more = message.get("more_body", False)
        body = f"{count} bytes".encode()
        headers = [(b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})


async def _lifespan(receive: Receive, send: Send) -> None:
    await receive()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await send({"type": "lifespan.shutdown.complete"})


@dataclass(slots=True)
class RawResponse:
    """A response."""

    status: int
    headers: dict[str, str]
    body: bytes


class RawConnection:
    """A connection to the server."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def receive(self) -> RawResponse:
        """Read the next response."""
        async with asyncio.timeout(10):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode()
            lines = head.strip().split("\r\n")
            headers = dict(line.lower().split(": ", 1) for line in lines[1:])
            body = await self.reader.readexactly(int(headers["content-length"]))
        return RawResponse(int(lines[0].split(" ")[1]), headers, body)

    async def closed_by_server(self) -> bool:
        """Return True if the server closes the connection, within 10 s and without a response."""
        async with asyncio.timeout(10):
            try:
                return await self.reader.read(1) == b""
            except ConnectionResetError:
                return True

    def close(self) -> None:
        self.writer.close()


@asynccontextmanager
async def listening(app: ASGIApp, **limits: Any) -> AsyncIterator[Listener]:
    """Start a listener for ``app`` on a free port."""
    listener = Listener(
        app, host="127.0.0.1", port=free_port(), limits=LimitsConfig.model_validate(limits)
    )
    await listener.start()
    yield listener
    await listener.close()


async def connect(listener: Listener) -> RawConnection:
    """Open a connection to a listener."""
    return RawConnection(*await asyncio.open_connection(*listener.address))


def request(path: str = "/", body: bytes = b"", **headers: str) -> bytes:
    """Create a complete POST request."""
    named = {"Host": "localhost", "Content-Length": str(len(body)), **headers}
    lines = "".join(f"{name}: {value}\r\n" for name, value in named.items())
    return f"POST {path} HTTP/1.1\r\n{lines}\r\n".encode() + body
