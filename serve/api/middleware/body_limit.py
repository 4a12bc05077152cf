"""Limits on bodies that are not uploads."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from snellen.serve.api.problems import Problem

_MAX_BYTES = 4 * 2**20


class BodyLimit:
    """Limit the bytes and the arrival time of JSON bodies, chunked ones included."""

    def __init__(self, app: ASGIApp, *, uploads: Sequence[str], timeout_s: float) -> None:
        """Create the middleware.

        Args:
            app: the application to protect.
            uploads: paths whose routes limit their bodies themselves.
            timeout_s: maximum time for a body to arrive, in seconds.
        """
        self._app = app
        self._uploads = frozenset(uploads)
        self._timeout_s = timeout_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle an ASGI connection."""
        if scope["type"] != "http" or scope["path"] in self._uploads:
            await self._app(scope, receive, send)
            return
        deadline = asyncio.get_running_loop().time() + self._timeout_s
        size, complete = 0, False

        async def receive_limited() -> Message:
            nonlocal size, complete
            if complete:
                return await receive()
            try:
                async with asyncio.timeout_at(deadline):
                    message = await receive()
            except TimeoutError:
                raise Problem(
                    408,
                    "BODY_TIMEOUT",
                    f"The body did not arrive within {self._timeout_s:g} s "
                    "(limits.body_timeout_s).",
                ) from None
            size += len(message.get("body", b""))
            complete = not message.get("more_body", False)
            if size > _MAX_BYTES:
                raise Problem(413, "BYTE_LIMIT", f"The body is larger than {_MAX_BYTES} bytes.")
            return message

        await self._app(scope, receive_limited, send)
