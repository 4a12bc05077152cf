"""A server with pages for the browser."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from tests.browser import started_chromium
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
