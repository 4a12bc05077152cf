"""An HTTP server in the event loop of this process."""

from __future__ import annotations

import asyncio
import errno
import logging
import socket

import uvicorn
from starlette.types import ASGIApp

from snellen.serve.config import LimitsConfig
from snellen.serve.http.connection import bounded

_KEEP_ALIVE_S = 75
"""For an idle connection. Above the minute for which usual reverse proxies keep theirs: the one
that closes first must not be the server, or the next request meets a closed connection."""
_BIND_S, _POLL_S = 30.0, 0.05


class Listener:
    """Serves an application at a host and port. Belongs to one event loop.

    Args:
        app: ASGI, with its lifespan.
        limits: of its connections.
        shared: other processes of this user listen on the same port, and connections are spread
            over them by the operating system.
    """

    def __init__(
        self, app: ASGIApp, *, host: str, port: int, limits: LimitsConfig, shared: bool = False
    ) -> None:
        self.address = (host, port)
        self._shared = shared
        self._server = uvicorn.Server(
            uvicorn.Config(
                app,
                http=bounded(limits),
                ws="none",
                lifespan="on",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                timeout_keep_alive=_KEEP_ALIVE_S,
                timeout_graceful_shutdown=1,
            )
        )
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Return when it accepts connections.

        Raises:
            OSError: the port is still taken after half a minute: a process that was replaced may
                take a while to end.
        """
        sock = await self._bound()
        # What clients send must not fill the log.
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
        self._task = asyncio.create_task(self._server.serve(sockets=[sock]))
        while not self._server.started and not self._task.done():
            await asyncio.sleep(_POLL_S)
        if self._task.done():
            self._task.result()

    @property
    def alive(self) -> bool:
        """Whether it accepts connections."""
        return self._task is not None and not self._task.done()

    async def close(self) -> None:
        """Accept nothing more, end idle connections and, after a second, all others."""
        if self._task is None:
            return
        self._server.should_exit = True
        await asyncio.wait((self._task,))

    async def _bound(self) -> socket.socket:
        end = asyncio.get_running_loop().time() + _BIND_S
        while True:
            try:
                return self._bind()
            except OSError as error:
                late = asyncio.get_running_loop().time() > end
                if error.errno != errno.EADDRINUSE or late:
                    raise
            await asyncio.sleep(_POLL_S)

    def _bind(self) -> socket.socket:
        family = socket.AF_INET6 if ":" in self.address[0] else socket.AF_INET
        sock = socket.socket(family, socket.SOCK_STREAM)
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if self._shared:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            sock.bind(self.address)
            sock.setblocking(False)
        except BaseException:
            sock.close()
            raise
        return sock
