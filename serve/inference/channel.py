"""Requests and replies between two processes of this machine, over a Unix domain socket.

A frame is an 8-byte head, the number of the request and the length of the content, both as
unsigned 32-bit integers, and the pickled content. A request without content cancels the one with
its number. Whoever can connect can execute code by what it sends: the socket must be in a directory
that only this user can enter.
"""

from __future__ import annotations

import asyncio
import logging
import pickle
import struct
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

_HEAD = struct.Struct("<II")
_HIGH_WATER = 2**30
"""Bytes that may wait to be sent; the limit on uploads in memory is far below it."""


class NotConnected(Exception):  # noqa: N818 - a state, read as one
    """No process listens; the request was not sent."""


class ConnectionEnded(Exception):  # noqa: N818 - a state, read as one
    """The other process ended, or closed the connection, before its reply."""


class _Frames(asyncio.Protocol, ABC):
    """A connection that sends frames, and splits what it receives into them."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._received = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # that of uvloop is no subclass
        self._transport.set_write_buffer_limits(_HIGH_WATER)

    def data_received(self, data: bytes) -> None:
        received = self._received
        received += data
        start = 0
        while len(received) - start >= _HEAD.size:
            number, length = _HEAD.unpack_from(received, start)
            end = start + _HEAD.size + length
            if len(received) < end:
                break
            with memoryview(received) as view:
                content = pickle.loads(view[start + _HEAD.size : end]) if length else None
            start = end
            self.frame_received(number, content)
        del received[:start]

    @abstractmethod
    def frame_received(self, number: int, content: Any) -> None:
        """Handle a frame."""

    def send(self, number: int, content: Any = None) -> None:
        """Send a frame, unless the connection has ended."""
        if self._transport is None or self._transport.is_closing():
            return
        packed = b"" if content is None else pickle.dumps(content, pickle.HIGHEST_PROTOCOL)
        self._transport.writelines((_HEAD.pack(number, len(packed)), packed))

    def close(self) -> None:
        """Close the connection."""
        if self._transport is not None:
            self._transport.close()


class _ServerConnection(_Frames):
    """Runs the handler for each request of one client."""

    def __init__(self, handler: Callable[[Any], Awaitable[Any]]) -> None:
        super().__init__()
        self._handler = handler
        self._tasks: dict[int, asyncio.Task[None]] = {}

    def frame_received(self, number: int, content: Any) -> None:
        if content is None:
            if (task := self._tasks.get(number)) is not None:
                task.cancel()
            return
        task = asyncio.get_running_loop().create_task(self._handle(number, content))
        self._tasks[number] = task
        task.add_done_callback(lambda _: self._tasks.pop(number, None))

    async def _handle(self, number: int, content: Any) -> None:
        try:
            self.send(number, (True, await self._handler(content)))
        except asyncio.CancelledError:
            # A client that did not cancel it itself is still waiting.
            self.send(number, (False, "cancelled"))
            raise
        except Exception as error:
            logging.getLogger("snellen.serve").exception("request to the model process failed")
            self.send(number, (False, f"{type(error).__name__}: {error}"))

    def connection_lost(self, _: Exception | None) -> None:
        for task in self._tasks.values():
            task.cancel()


class _ClientConnection(_Frames):
    """Requests that wait for their replies."""

    def __init__(self) -> None:
        super().__init__()
        self.ended = False
        self._number = 0
        self._waiting: dict[int, asyncio.Future[Any]] = {}

    async def call(self, content: Any) -> Any:
        self._number = number = (self._number + 1) % 2**32
        future = asyncio.get_running_loop().create_future()
        self._waiting[number] = future
        try:
            self.send(number, content)
            return await future
        except asyncio.CancelledError:
            self.send(number)
            raise
        finally:
            self._waiting.pop(number, None)

    def frame_received(self, number: int, content: Any) -> None:
        future = self._waiting.get(number)
        if future is None or future.done():
            return
        succeeded, reply = content
        if succeeded:
            future.set_result(reply)
        else:
            future.set_exception(RuntimeError(reply))

    def connection_lost(self, error: Exception | None) -> None:
        self.ended = True
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(ConnectionEnded(str(error or "closed")))


class ChannelServer:
    """Listens on a socket and passes requests to a handler. Belongs to one event loop."""

    def __init__(self, path: Path, handler: Callable[[Any], Awaitable[Any]]) -> None:
        """Create a server that does not listen yet.

        Args:
            path: of the socket, in a directory that only this user can enter.
            handler: returns the reply to a request.
        """
        self._path = path
        self._handler = handler
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Listen; a socket that another process left at the path is replaced."""
        with suppress(FileNotFoundError):
            self._path.unlink()
        loop = asyncio.get_running_loop()
        self._server = await loop.create_unix_server(
            lambda: _ServerConnection(self._handler), str(self._path)
        )

    async def close(self) -> None:
        """Stop listening."""
        if self._server is not None:
            self._server.close()


class ChannelClient:
    """Sends requests to a server, and connects again when it was replaced."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection: _ClientConnection | None = None
        self._connecting = asyncio.Lock()

    async def call(self, content: Any) -> Any:
        """Send a request and return its reply; cancelling the call cancels the request.

        Raises:
            NotConnected: no process listens.
            ConnectionEnded: the process ended before its reply.
            RuntimeError: the handler raised an exception.
        """
        connection = self._connection
        if connection is None or connection.ended:
            connection = await self._connect()
        return await connection.call(content)

    async def _connect(self) -> _ClientConnection:
        async with self._connecting:
            known = self._connection
            if known is not None and not known.ended:
                return known
            try:
                _, made = await asyncio.get_running_loop().create_unix_connection(
                    _ClientConnection, str(self._path)
                )
            except OSError as error:
                raise NotConnected(str(error)) from error
            self._connection = made
            return made

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.close()
