"""The path prefix below which a reverse proxy serves the application."""

from __future__ import annotations

from starlette.types import ASGIApp, Receive, Scope, Send


class PathPrefix:
    """Set the ASGI ``root_path``, from which links and redirects take the prefix.

    The prefix is removed from paths, for proxies that do not remove it themselves.
    """

    def __init__(self, app: ASGIApp, *, root_path: str) -> None:
        self._app = app
        self._root_path = root_path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle an ASGI connection."""
        root = self._root_path
        if scope["type"] == "http":
            path = scope["path"]
            if f"{path}/".startswith(f"{root}/"):
                path = path[len(root) :] or "/"
            scope = {**scope, "path": path, "root_path": root}
        await self._app(scope, receive, send)
