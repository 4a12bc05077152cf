"""The application on a port of this machine, for clients that need a socket."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import uvicorn
from starlette.types import ASGIApp

from snellen.serve.api.app import create_app
from snellen.serve.api.state import make_state
from snellen.serve.config import ServeConfig
from snellen.serve.inference.model_host import ModelHost
from snellen.serve.ui.routes import add_pages
from snellen.store.sql.database import Database
from tests.serve.local_service import LocalBackend, host_settings


@contextmanager
def listening_app(app: ASGIApp, **settings: Any) -> Iterator[str]:
    """Serve an application in a thread, with settings of uvicorn; yield its address."""
    config = uvicorn.Config(app, host="127.0.0.1", port=0, log_level="error", **settings)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    until = time.monotonic() + 30
    while not server.started:
        assert thread.is_alive(), "the server has ended"
        assert time.monotonic() < until, "the server does not start"
        time.sleep(0.02)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join(30)


@contextmanager
def listening(
    db: Database, root: Path, *, keys: Sequence[str] = (), **settings: Any
) -> Iterator[str]:
    """Serve Snellen without Ray; yield its address.

    Args:
        db: the run tables.
        root: folder of the runs.
        keys: API keys.
        settings: configuration of the service.
    """
    config = ServeConfig.model_validate(settings)
    host = ModelHost(host_settings(config))
    app = create_app(make_state(config, db, LocalBackend(host), root), keys=keys, loopback=True)
    add_pages(app)
    with listening_app(app) as address:
        yield address
    with ThreadPoolExecutor(1) as pool:  # this thread may have the event loop of a browser
        pool.submit(asyncio.run, host.close()).result()
