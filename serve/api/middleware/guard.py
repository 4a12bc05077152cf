"""Checks before a request is read, and a response for exceptions that nothing else handles."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from snellen.serve.api.middleware.disconnect import CLIENT_CLOSED_REQUEST
from snellen.serve.api.problems import Problem, internal_error, log

Check = Callable[[Scope, Headers], Problem | None]


class Guard:
    """Run checks on the headers of a request; turn unhandled exceptions into 500."""

    def __init__(self, app: ASGIApp, *, checks: Sequence[Check]) -> None:
        """Create the middleware.

        Args:
            app: the application to protect.
            checks: called in order; the first problem is the response.
        """
        self._app = app
        self._checks = tuple(checks)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle an ASGI connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        problem = self._check(scope)
        if problem is not None:
            await problem.response()(scope, receive, send)
            return
        started = False

        async def send_and_note(message: Message) -> None:
            nonlocal started
            started |= message["type"] == "http.response.start"
            await send(message)

        try:
            await self._app(scope, receive, send_and_note)
        except ClientDisconnect:
            if not started:  # no client reads it, but the metrics count it
                await Response(status_code=CLIENT_CLOSED_REQUEST)(scope, receive, send)
        except Exception:
            log.exception("unhandled exception at %s", scope["path"])
            if started:
                raise
            await internal_error().response()(scope, receive, send)

    def _check(self, scope: Scope) -> Problem | None:
        headers = Headers(scope=scope)
        for check in self._checks:
            problem = check(scope, headers)
            if problem is not None:
                return problem
        return None
