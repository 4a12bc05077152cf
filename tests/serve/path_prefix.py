"""A reverse proxy that serves an application below a path prefix, in this process."""

from __future__ import annotations

from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send


def behind_prefix(app: ASGIApp, prefix: str, *, removed: bool) -> ASGIApp:
    """Return a proxy for ``app``.

    Args:
        app: the application.
        prefix: path below which it is served; everything else is not found.
        removed: remove the prefix from paths, as ``proxy_pass`` of nginx with a path does.
    """

    async def proxy(scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"]
        if not path.startswith(f"{prefix}/"):
            await PlainTextResponse("not below the prefix", 418)(scope, receive, send)
            return
        if removed:
            raw = scope["raw_path"].removeprefix(prefix.encode())
            scope = {**scope, "path": path.removeprefix(prefix), "raw_path": raw}
        await app(scope, receive, send)

    return proxy
