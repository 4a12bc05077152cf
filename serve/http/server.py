"""An HTTP server in the event loop of this process."""

from __future__ import annotations

import asyncio
import errno
import logging
import socket

import uvicorn
from starlette.types import ASGIApp
from tenacity import AsyncRetrying, retry_if_exception, stop_after_delay, wait_fixed

from snellen.serve.config import LimitsConfig
from snellen.serve.http.connection import bounded

_KEEP_ALIVE_S = 75
"""Time that an idle connection is kept, in seconds. Longer than the 60 s of common reverse proxies:
if the server closed first, the proxy's next request would meet a closed connection."""
_BIND_TIMEOUT_S, _POLL_S = 30.0, 0.05


class Listener:
    """Serve an application at a host and port. Belongs to one event loop.

    Args:
        app: ASGI application, with its lifespan.
        host: address to listen on.
        port: port to listen on.
        limits: limits on its connections.
        shared: other processes of this user listen on the same port; the operating system
            distributes connections among them.
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
        """Start the server, and return when it accepts connections.

        Raises:
            OSError: the port is still in use after 30 s; a process that is being replaced may
                need a while to stop.
        """
        retrying = AsyncRetrying(
            retry=retry_if_exception(_port_in_use),
            wait=wait_fixed(_POLL_S),
            stop=stop_after_delay(_BIND_TIMEOUT_S),
            reraise=True,
        )
        sock: socket.socket = await retrying(self._bind)
        # Malformed requests of clients must not fill the log.
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
        self._task = asyncio.create_task(self._server.serve(sockets=[sock]))
        while not self._server.started and not self._task.done():
            await asyncio.sleep(_POLL_S)
        if self._task.done():
            self._task.result()

    @property
    def alive(self) -> bool:
        """True while it accepts connections."""
        return self._task is not None and not self._task.done()

    async def close(self) -> None:
        """Stop accepting; close idle connections, and all others after one second."""
        if self._task is None:
            return
        self._server.should_exit = True
        await asyncio.wait((self._task,))

    async def _bind(self) -> socket.socket:
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


def _port_in_use(error: BaseException) -> bool:
    return isinstance(error, OSError) and error.errno == errno.EADDRINUSE
