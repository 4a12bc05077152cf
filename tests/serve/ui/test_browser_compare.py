"""Two runs in Chromium: the verdict, and what changed, image by image under both runs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from snellen.analysis.comparison.flips import find_flips
from snellen.analysis.comparison.pairing import pair_runs
from tests.browser import Watched
from tests.serve.listening import listening
from tests.serve.ui.finished_runs import FinishedRuns

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def url(finished: FinishedRuns, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with listening(finished.db, tmp_path_factory.mktemp("root")) as address:
        yield address


def address(finished: FinishedRuns, a: str, b: str, query: str = "") -> str:
    return f"/compare?a={finished.ids[a]}&b={finished.ids[b]}{query}"


@pytest.mark.parametrize(
    "view",
    [
        ("other", "detect", "light", 1440), ("classify", "classify", "dark", 390),
        ("detect", "awkward", "light", 390), ("awkward", "awkward", "dark", 1600),
    ],
)  # fmt: skip
def test_the_page_is_sound(
    chromium: Browser, url: str, finished: FinishedRuns, view: tuple[str, str, str, int]
) -> None:
    a, b, scheme, width = view
    watched = Watched(chromium, url, color_scheme=scheme, viewport={"width": width, "height": 900})
    page = watched.open("/compare")
    page.get_by_label("Baseline").select_option(str(finished.ids[a]))
    page.get_by_label("Candidate").select_option(str(finished.ids[b]))
    page.get_by_role("button", name="Compare").click()
    expect(page.locator(".verdict")).to_be_visible(timeout=30_000)
    expect(page.locator("#changed .flow a")).to_have_count(4)
    watched.check()
    page.close()


def test_flips_are_followed_by_key(chromium: Browser, url: str, finished: FinishedRuns) -> None:
    runs = (finished.run("other"), finished.run("detect"))
    objects = find_flips(pair_runs(finished.db, runs)).objects
    new = [row for row in objects.sort("index_b").to_dicts() if row["kind"] == "new_fp"]
    assert len(new) > 3
    watched = Watched(chromium, url)
    page = watched.open(address(finished, "other", "detect"))
    page.get_by_role("navigation", name="Count").get_by_text("Objects").click()
    page.get_by_role("navigation", name="Change").get_by_text("new false positives").click()
    page.wait_for_url("**change=new_fp**")
    title = page.locator(".stage-bar b")
    page.evaluate("window.isSamePage = true")
    for place in (1, 2, 3):
        expect(page.locator(".stage-bar")).to_contain_text(f"{place} of {len(new)}")
        expect(title).to_have_text(new[place - 1]["image_id"])
        page.keyboard.press("ArrowRight")
    page.wait_for_url("**place=4**")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    page.wait_for_url("**place=2**")
    expect(page.locator(".stage-bar")).to_contain_text(f"2 of {len(new)}")
    assert page.evaluate("window.isSamePage"), "the keys loaded the whole page again"
    watched.check()
    page.reload()
    expect(page.locator(".stage-bar")).to_contain_text(f"2 of {len(new)}")
    page.close()


def test_swipe_side_by_side_and_blink(chromium: Browser, url: str, finished: FinishedRuns) -> None:
    watched = Watched(chromium, url)
    page = watched.open(address(finished, "other", "detect", "&change=both_incorrect"))
    swipe, picture = page.locator("sn-swipe"), page.locator("sn-swipe .b image")
    expect(picture).to_be_visible()
    both = [page.locator(f"sn-swipe .{side} image").bounding_box() for side in "ab"]
    assert both[0] == both[1], "the layers lie on one another"
    page.get_by_label("Swipe between A and B").fill("20")
    assert swipe.evaluate("(e) => e.style.getPropertyValue('--x')") == "20%"
    page.keyboard.down("b")
    assert swipe.evaluate("(e) => e.style.getPropertyValue('--x')") == "100%"
    page.keyboard.up("b")
    assert swipe.evaluate("(e) => e.style.getPropertyValue('--x')") == "20%"
    page.keyboard.press("d")
    expect(swipe).to_have_attribute("mode", "side")
    left, right = (page.locator(f"sn-swipe .layer.{side}").bounding_box() for side in "ab")
    assert left is not None
    assert right is not None
    assert left["x"] + left["width"] == pytest.approx(right["x"], abs=1)
    page.locator("h1").click()
    page.keyboard.press("ArrowRight")
    page.wait_for_url("**place=2**")
    expect(swipe).to_have_attribute("mode", "side")
    page.keyboard.press("s")
    expect(swipe).to_have_attribute("mode", "swipe")
    watched.check()
    page.close()
