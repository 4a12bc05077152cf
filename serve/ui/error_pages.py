"""Problems as pages: what a browser shows for an address that fails; programs get the document."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from snellen.serve.api.problems import MEDIA_TYPE
from snellen.serve.ui import rendering

_TEMPLATE = "error.html"
_OF_PROGRAMS = ("/inference/", "/health/", "/metrics", "/openapi.json", "/v2", "/ui/")
"""Beginnings of paths that answer programs and scripts, which read the document."""
_HINTS = {
    401: "Sign in with an API key of the service.",
    403: "Your key, or the configuration of the service, does not allow it.",
    404: "It may have been deleted, or its address has a typing error.",
    422: "Correct the address, or start from the list of runs.",
    500: "It is not your fault. Whoever runs the service finds the reason in its log.",
    503: "Try again in a moment.",
}
_TITLES = {401: "Sign in first", 403: "Not allowed", 404: "Not found", 500: "Something went wrong"}


class ErrorPages:
    """Replace problem documents by pages in responses to people's requests."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle an ASGI connection."""
        if scope["type"] != "http" or not wants_page(scope):
            await self._app(scope, receive, send)
            return
        held: Message | None = None
        body = bytearray()

        async def send_page(message: Message) -> None:
            nonlocal held
            if message["type"] == "http.response.start":
                kind = Headers(raw=message["headers"]).get("content-type", "")
                held = message if kind.startswith(MEDIA_TYPE) else None
            if held is None:
                await send(message)
            elif message["type"] == "http.response.body":
                body.extend(message.get("body", b""))
                if not message.get("more_body", False):
                    await _send_page(scope, held, json.loads(body), send)

        await self._app(scope, receive, send_page)


def wants_page(scope: Scope) -> bool:
    """Return True for the request of a person: a browser that goes to a page or sends a form."""
    headers = Headers(scope=scope)
    return (
        scope["method"] in ("GET", "POST")
        and "text/html" in headers.get("accept", "")
        and "hx-request" not in headers
        and not scope["path"].startswith(_OF_PROGRAMS)
    )


async def _send_page(scope: Scope, start: Message, problem: dict[str, Any], send: Send) -> None:
    status = start["status"]
    title = _TITLES.get(status, HTTPStatus(status).phrase)
    values = {"title": title, "problem": problem, "hint": _HINTS.get(status, "")}
    page = rendering.page(Request(scope), _TEMPLATE, "", **values)
    headers = MutableHeaders(raw=list(start["headers"]))
    headers.update(page.headers)
    await send({**start, "headers": headers.raw})
    await send({"type": "http.response.body", "body": page.body})
