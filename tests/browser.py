"""Chromium of the system for tests of pages, and the watch over what a page does."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import axe_playwright_python  # type: ignore[import-untyped]
import pytest
from playwright.sync_api import Browser, Page, sync_playwright

_AXE = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text()
_SERIOUS = ("serious", "critical")
_MOVES = """window.moved = []; new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) if (!entry.hadRecentInput) window.moved.push(
    [entry.value, entry.sources.map((source) => source.node?.nodeName + '#' + source.node?.id)]);
}).observe({ type: "layout-shift", buffered: true });"""
_MAX_SHIFT = 0.1
"""Largest sum of layout shifts of a good page, as web.dev/cls defines it."""
_TWICE = """() => { const ids = [...document.querySelectorAll('[id]')].map((e) => e.id);
  return ids.filter((id, place) => ids.indexOf(id) !== place); }"""
_OUTSIDE = """() => [...document.querySelectorAll('body *')].filter((element) => {
  const clips = (e) => e && (/auto|scroll|hidden|clip/.test(getComputedStyle(e).overflowX)
    || clips(e.parentElement));
  return element.getBoundingClientRect().right > document.documentElement.clientWidth + 1
    && !clips(element.parentElement); }).slice(0, 5).map((e) => e.outerHTML.slice(0, 120))"""


@contextmanager
def started_chromium() -> Iterator[Browser]:
    """Start the system's Chromium; CI fails without one, other machines skip the test."""
    found = shutil.which("chromium")
    if found is None:
        message = "Chromium is not installed. Fix: apt-get install chromium"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield browser
        browser.close()


class Watched:
    """A page of a server, with everything that it should not do.

    Attributes:
        page: the page of Playwright.
        messages: lines of the console, errors and dialogs.
        elsewhere: requests to other servers.
    """

    def __init__(self, browser: Browser, url: str, **options: Any) -> None:
        self.url = url
        self.messages: list[str] = []
        self.elsewhere: list[str] = []
        self.page: Page = browser.new_page(
            **{"viewport": {"width": 1440, "height": 900}, **options}
        )
        self.page.add_init_script(_MOVES)
        self.page.on("console", lambda message: self.messages.append(message.text))
        self.page.on("pageerror", lambda error: self.messages.append(str(error)))
        self.page.on("request", lambda request: self._note(request.url))

    def _note(self, url: str) -> None:
        if urlsplit(url).scheme != "blob" and not url.startswith(self.url):
            self.elsewhere.append(url)

    def open(self, path: str) -> Page:
        """Open a path of the server, and wait until nothing is loaded any more."""
        self.page.goto(self.url + path, wait_until="networkidle")
        return self.page

    def check(self) -> None:
        """Fail if the page printed anything, asked another server, moved, or shuts people out."""
        assert not self.messages, self.messages
        assert not self.elsewhere, self.elsewhere
        moved = self.page.evaluate("window.moved")
        assert sum(amount for amount, _ in moved) < _MAX_SHIFT, moved
        assert self.page.evaluate(_TWICE) == [], "ids that are not unique"
        self.fits()
        self.page.evaluate(_AXE)
        found = self.page.evaluate("async () => (await axe.run()).violations")
        serious = [
            f"{one['id']}: {one['help']}: {one['nodes'][0]['html'][:200]}"
            for one in found
            if one["impact"] in _SERIOUS
        ]
        assert not serious, "\n".join(serious)

    def fits(self) -> None:
        """Fail if a part of the page lies to the right of the window."""
        assert self.page.evaluate(_OUTSIDE) == []
        wide = "document.documentElement.scrollWidth <= window.innerWidth"
        assert self.page.evaluate(wide)
