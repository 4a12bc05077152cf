"""A server with pages for the browser."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from playwright.sync_api import Browser

from snellen.serve.api.app import create_app
from snellen.serve.api.state import make_state
from snellen.serve.config import ServeConfig
from snellen.serve.inference.model_host import ModelHost
from snellen.serve.ui.routes import add_pages
from snellen.store.sql.database import Database
from tests.browser import started_chromium
from tests.serve.local_service import LocalBackend, host_settings
from tests.serve.ui.finished_runs import FinishedRuns, make_runs


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with started_chromium() as browser:
        yield browser


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FinishedRuns]:
    """Return runs of all four tasks, made once for all files."""
    made = make_runs(tmp_path_factory.mktemp("finished"))
    yield made
    made.db.close()


@contextmanager
def listening(db: Database, root: Path, **settings: Any) -> Iterator[str]:
    """Serve the application on a port of this machine; yield its address."""
    config = ServeConfig.model_validate(settings)
    state = make_state(config, db, LocalBackend(ModelHost(host_settings(config))), root)
    app = create_app(state, keys=(), loopback=True)
    add_pages(app)
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="error"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    until = time.monotonic() + 30
    while not server.started and time.monotonic() < until:
        time.sleep(0.02)
    port = server.servers[0].sockets[0].getsockname()[1]
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join(30)
