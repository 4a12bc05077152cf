"""Reports in Chromium: nothing is loaded, everything is drawn, in both colour schemes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from snellen.store.views import RunView
from tests.analysis.detected import Detected
from tests.analysis.report.conftest import Place
from tests.browser import started_chromium

pytestmark = pytest.mark.browser
SCHEMES = ("light", "dark")
CANVAS = {"light": "rgb(255, 255, 255)", "dark": "rgb(17, 19, 23)"}
DRAWN = """() => [...document.querySelectorAll('.chart svg')].map((svg) =>
  [...svg.querySelectorAll('.mark-line path, .mark-rect path, .mark-symbol path')]
    .filter((path) => path.getBBox().width > 0).length)"""
STROKE = """() => getComputedStyle(document.querySelector('.chart svg .mark-line path')).stroke"""


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with started_chromium() as browser:
        yield browser


class Opened:
    """A page with what it printed and asked for."""

    def __init__(self, browser: Browser, file: Path, **options: Any) -> None:
        self.url = file.as_uri()
        self.messages: list[str] = []
        self.requests: list[str] = []
        self.page: Page = browser.new_page(viewport={"width": 1440, "height": 900}, **options)
        self.page.on("console", lambda message: self.messages.append(message.text))
        self.page.on("pageerror", lambda error: self.messages.append(str(error)))
        self.page.on("dialog", lambda dialog: self.messages.append(dialog.message))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(self.url, wait_until="networkidle")


@pytest.fixture(scope="module")
def files(place: Place, awkward: RunView, detected: Detected) -> dict[str, Path]:
    place.report(awkward, "browser-awkward.html")
    other = Place(detected.db, detected.url, place.folder)
    other.report(detected.at(0.5), "browser-boxes.html", base=detected.run)
    return {name: place.folder / f"browser-{name}.html" for name in ("awkward", "boxes")}


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("name", ["awkward", "boxes"])
def test_a_report_is_whole_and_asks_for_nothing(
    name: str, scheme: str, files: dict[str, Path], chromium: Browser
) -> None:
    opened = Opened(chromium, files[name], color_scheme=scheme)
    page = opened.page
    assert opened.messages == []
    assert [url for url in opened.requests if not url.startswith("data:")] == [opened.url]
    charts = page.evaluate(DRAWN)
    assert len(charts) == 3
    assert all(count > 0 for count in charts), charts
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert background == CANVAS[scheme]
    broken = "() => [...document.images].filter((i) => !i.complete || !i.naturalWidth).length"
    assert page.evaluate(broken) == 0
    assert page.evaluate("document.images.length") > 0
    # no sideways scrolling, on a small screen either
    for width in (1440, 390):
        page.set_viewport_size({"width": width, "height": 900})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.close()


def test_charts_follow_the_theme(files: dict[str, Path], chromium: Browser) -> None:
    opened = Opened(chromium, files["boxes"], color_scheme="light")
    page = opened.page
    light = page.evaluate(STROKE)
    button = page.locator("#theme")
    for theme in ("light", "dark", "system"):
        button.click()
        assert button.get_attribute("title") == f"Theme: {theme}"
        expected = "dark" if theme == "dark" else "light"
        background = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert background == CANVAS[expected]
        assert (page.evaluate(STROKE) == light) == (expected == "light")
    assert opened.messages == []
    page.close()


def test_a_dark_page_is_printed_light(files: dict[str, Path], chromium: Browser) -> None:
    opened = Opened(chromium, files["boxes"], color_scheme="dark")
    opened.page.emulate_media(media="print")
    background = opened.page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert background == CANVAS["light"]
    assert not opened.page.locator(".anchors").is_visible()
    assert opened.page.pdf()[:4] == b"%PDF"
    opened.page.close()
