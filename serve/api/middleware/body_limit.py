"""Limits on bodies that are not uploads."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from snellen.serve.api.problems import Problem
from snellen.serve.api.uploads.upload_paths import upload_route

_MAX_BYTES = 4 * 2**20


class BodyLimit:
    """Limit the bytes and the arrival time of JSON bodies, chunked ones included."""

    def __init__(self, app: ASGIApp, *, others: Sequence[str], timeout_s: float) -> None:
        """Create the middleware.

        Args:
            app: the application to protect.
            others: paths, beside those of `upload_route`, whose routes limit their bodies
                themselves.
            timeout_s: maximum time for a body to arrive, in seconds.
        """
        self._app = app
        self._others = frozenset(others)
        self._timeout_s = timeout_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle an ASGI connection."""
        if scope["type"] != "http" or self._is_exempt(scope["path"]):
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

    def _is_exempt(self, path: str) -> bool:
        return path in self._others or upload_route(path) is not None
