"""HTTP processes: behind Ray Serve's proxies on a cluster, or listening themselves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fastapi import FastAPI
from ray import serve
from ray.serve.handle import DeploymentHandle

from snellen.serve.access import check_keys, needs_keys
from snellen.serve.api.app import create_app
from snellen.serve.api.middleware.api_keys import api_keys
from snellen.serve.api.state import make_state
from snellen.serve.config import ServeConfig
from snellen.serve.http.server import Listener
from snellen.serve.logs import log_requests, log_to_file
from snellen.serve.ray.handle import RayBackend
from snellen.serve.ray.loopback import bind_to_loopback
from snellen.serve.ui.routes import add_pages
from snellen.store.sql.database import Database


class _Ingress:
    """Common part of the HTTP processes, however requests reach them."""

    def __init__(
        self,
        config: ServeConfig,
        root: str,
        models: DeploymentHandle[Any],
        socket: Path | None = None,
    ) -> None:
        check_keys(config)
        log_to_file(config)
        log_requests(config)
        db = Database.open(config.database)
        self._state = make_state(config, db, RayBackend(models, socket), Path(root))
        self._config = config

    def _app(self, *, proxied: bool = False) -> FastAPI:
        loopback = not needs_keys(self._config)
        app = create_app(self._state, keys=api_keys(), loopback=loopback, proxied=proxied)
        add_pages(app)
        return app

    async def open_requests(self) -> int:
        """Return the number of requests between their first byte and their response."""
        return self._state.admission.open

    async def drain(self) -> int:
        """Stop accepting requests and wait for open ones; return the number of unfinished ones."""
        return await self._state.admission.drain(self._config.limits.drain_timeout_s)


@serve.ingress()
class ProxiedIngress(_Ingress):
    """HTTP process behind Ray Serve's proxies, which listen on the nodes of a cluster."""

    def __serve_build_asgi_app__(self) -> FastAPI:
        """Return the application; Ray Serve calls this once, in the replica."""
        return self._app(proxied=True)


class ListeningIngress(_Ingress):
    """HTTP process that listens itself; on one machine, a proxy would only add a hop."""

    async def __init__(  # type: ignore[misc]  # Ray awaits it
        self,
        config: ServeConfig,
        root: str,
        models: DeploymentHandle[Any],
        socket: Path | None = None,
    ) -> None:
        bind_to_loopback()
        super().__init__(config, root, models, socket)
        self._listener = Listener(
            self._app(),
            host=config.host,
            port=config.port,
            limits=config.limits,
            shared=config.ingress_replicas > 1,
        )
        await self._listener.start()

    def check_health(self) -> None:
        """Raise if the server has stopped; Ray Serve then replaces the process."""
        if not self._listener.alive:
            raise RuntimeError("the HTTP server has stopped")

    async def drain(self) -> int:
        """Drain as above, then close the listener."""
        left = await super().drain()
        await self._listener.close()
        return left
