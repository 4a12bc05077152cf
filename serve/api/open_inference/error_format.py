"""Errors below ``/v2`` as the protocol has them: ``{"error": ...}`` in place of a problem document.

Errors come from many places: middleware, routes, handlers of exceptions. Here all are converted.
"""

from __future__ import annotations

import json

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from snellen.serve.api.problems import MEDIA_TYPE

PREFIX = "/v2"


class ProtocolErrors:
    """Convert the problem documents of the routes of the protocol."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle an ASGI connection."""
        if scope["type"] != "http" or not (scope["path"] + "/").startswith(f"{PREFIX}/"):
            await self._app(scope, receive, send)
            return
        started: Message | None = None
        content = bytearray()

        async def send_converted(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                kind = MutableHeaders(scope=message).get("content-type", "")
                if kind.partition(";")[0] == MEDIA_TYPE:
                    started = message
                    return
            if started is None or message["type"] != "http.response.body":
                await send(message)
                return
            content.extend(message.get("body", b""))
            if not message.get("more_body", False):
                body = _converted(bytes(content))
                headers = MutableHeaders(scope=started)
                headers["content-type"] = "application/json"
                headers["content-length"] = str(len(body))
                await send(started)
                await send({"type": "http.response.body", "body": body})

        await self._app(scope, receive, send_converted)


def _converted(content: bytes) -> bytes:
    document = json.loads(content)
    return json.dumps({"error": document["detail"], "code": document["code"]}).encode()
