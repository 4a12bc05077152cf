"""Count and time every request."""

from __future__ import annotations

import asyncio
import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from snellen.serve.api.middleware.disconnect import CLIENT_CLOSED_REQUEST
from snellen.serve.api.prometheus import Metrics
from snellen.serve.api.uploads.upload_paths import upload_route


class RequestMetrics:
    """Record status and duration of each request by its route's pattern.

    Paths that match no route share the label ``other``: clients must not be able to create labels.
    """

    def __init__(self, app: ASGIApp, *, metrics: Metrics) -> None:
        """Create the middleware.

        Args:
            app: the application to measure.
            metrics: counters of this process.
        """
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle an ASGI connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begin = time.perf_counter()
        status = 0

        async def send_and_note(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, send_and_note)
        except asyncio.CancelledError:
            # Ray Serve cancels requests whose client has disconnected.
            status = status or CLIENT_CLOSED_REQUEST
            raise
        finally:
            status = status or 500
            route = getattr(scope.get("route"), "path", None)
            route = route or upload_route(scope["path"]) or "other"
            self._metrics.requests.labels(route, str(status)).inc()
            self._metrics.seconds.labels(route).observe(time.perf_counter() - begin)
