"""``/docs`` in a browser, with API keys and below a path prefix of a reverse proxy."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from snellen.serve.api.app import create_app
from snellen.serve.api.state import make_state
from snellen.serve.config import ServeConfig
from snellen.serve.inference.model_host import ModelHost
from snellen.serve.ui.routes import add_pages
from snellen.store.sql.database import Database
from tests.browser import Watched
from tests.serve.listening import listening_app
from tests.serve.local_service import LocalBackend, fixture_job, host_settings
from tests.serve.path_prefix import behind_prefix

pytestmark = [pytest.mark.browser, pytest.mark.slow]
PREFIX = "/lab"


@pytest.fixture
def url(db: Database, tmp_path: Path) -> Iterator[str]:
    fixture_job(db, "classify")
    config = ServeConfig(root_path=PREFIX)
    state = make_state(config, db, LocalBackend(ModelHost(host_settings(config))), tmp_path)
    app = create_app(state, keys=["secret"], loopback=True)
    add_pages(app)
    with listening_app(behind_prefix(app, PREFIX, removed=True), lifespan="off") as address:
        yield address + PREFIX


def test_a_key_is_entered_once_and_sent_with_requests(url: str, chromium: Browser) -> None:
    watched = Watched(chromium, url)
    page = watched.open("/docs")
    assert page.url == f"{url}/sign-in?next=%2Fdocs"
    page.get_by_label("API key").fill("secret")
    page.keyboard.press("Enter")
    page.wait_for_url(f"{url}/docs")
    page.context.clear_cookies()  # only the key that is entered next is sent
    page.locator("button.authorize").click()
    page.locator("section.auth-container, .auth-container").first.wait_for()
    page.locator(".auth-container input").first.fill("secret")
    page.locator(".auth-btn-wrapper button.authorize").first.click()
    page.locator(".auth-btn-wrapper button.btn-done").first.click()
    listing = page.locator(".opblock-get", has_text="/inference/training-jobs").first
    listing.locator(".opblock-summary").click()
    listing.locator("button.try-out__btn").click()
    with page.expect_response(lambda one: "/inference/training-jobs" in one.url) as caught:
        listing.locator("button.execute").click()
    assert caught.value.url.startswith(f"{url}/inference/training-jobs")
    assert caught.value.status == 200
    assert caught.value.json()["jobs"][0]["name"] == "tiny-classify"
    assert watched.elsewhere == []
    page.close()
