"""Closing a connection without losing the response: half-close, read the rest, then close.

A socket that is closed while unread data arrives resets the connection, and a client that is still
sending then sees the reset instead of the response.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

_IDLE_S = 5.0
"""Time without data from the client after which the connection is closed, in seconds."""


class LingeringTransport(asyncio.Transport):
    """A transport whose ``close`` ends the response and discards what the client still sends.

    Args:
        transport: the transport of the event loop.
        loop: its event loop.
        max_bytes: maximum number of bytes to discard.
        seconds: returns the maximum time for which ``close`` waits; 0 if the client has sent
            everything.
    """

    def __init__(
        self,
        transport: asyncio.Transport,
        loop: asyncio.AbstractEventLoop,
        max_bytes: int,
        seconds: Callable[[], float],
    ) -> None:
        super().__init__()
        self._transport = transport
        self._loop = loop
        self._max_bytes = max_bytes
        self._seconds = seconds
        self._end: asyncio.TimerHandle | None = None
        self._idle: asyncio.TimerHandle | None = None
        self._lingering = False
        self.discarded = 0

    @property
    def lingering(self) -> bool:
        """True from `close` until the connection is closed; data are discarded."""
        return self._lingering and not self._transport.is_closing()

    def close(self) -> None:
        """End the response; close now, or when the client has read it and closes."""
        if self.is_closing():
            return
        seconds = self._seconds()
        if seconds <= 0 or not self._transport.can_write_eof():
            self._transport.close()
            return
        self._lingering = True
        self._transport.write_eof()
        self._transport.resume_reading()
        self._end = self._loop.call_later(seconds, self.close_now)
        self._idle = self._loop.call_later(_IDLE_S, self.close_now)

    def discard(self, count: int) -> None:
        """Count bytes that nothing else reads; above the limit, close the connection."""
        self.discarded += count
        if self.discarded > self._max_bytes:
            self.close_now()
        elif self._idle is not None:
            self._idle.cancel()
            self._idle = self._loop.call_later(_IDLE_S, self.close_now)

    def close_now(self) -> None:
        """Close the connection, whether or not the client has read the response."""
        self.stop_timers()
        self._transport.close()

    def stop_timers(self) -> None:
        """Stop waiting: the connection is closed."""
        for timer in (self._end, self._idle):
            if timer is not None:
                timer.cancel()
        self._end = self._idle = None

    def is_closing(self) -> bool:
        """Implement asyncio.BaseTransport."""
        return self._lingering or self._transport.is_closing()

    def write(self, data: bytes | bytearray | memoryview[Any]) -> None:
        """Implement asyncio.WriteTransport; nothing is written after `close`."""
        if not self._lingering:
            self._transport.write(data)

    def pause_reading(self) -> None:
        """Implement asyncio.ReadTransport."""
        self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Implement asyncio.ReadTransport."""
        self._transport.resume_reading()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Implement asyncio.BaseTransport."""
        return self._transport.get_extra_info(name, default)
