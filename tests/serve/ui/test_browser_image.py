"""One image of a run in Chromium: boxes at the right place, parts that can be switched off."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from snellen.analysis.reader import open_results
from tests.browser import Watched
from tests.serve.listening import listening
from tests.serve.ui.finished_runs import IMAGES, FinishedRuns

pytestmark = pytest.mark.browser
ON_SCREEN = """(kind) => [...document.querySelectorAll(`.ob rect.${kind}:not(.case)`)].map((e) => {
  const r = e.getBoundingClientRect(); return [r.left, r.top, r.right, r.bottom]; })"""


@pytest.fixture(scope="module")
def url(finished: FinishedRuns, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with listening(finished.db, tmp_path_factory.mktemp("root")) as address:
        yield address


def most_matched(finished: FinishedRuns, name: str) -> dict[str, Any]:
    """Return the row of the image with most kinds and numbers of matches."""
    rows = open_results(finished.db, finished.run(name)).lazy().collect().to_dicts()
    return max(rows, key=lambda row: (len({m["kind"] for m in row["matches"]}), row["tp"]))


def corners(box: dict[str, float]) -> tuple[float, ...]:
    return box["x1"], box["y1"], box["x2"], box["y2"]


def on_page(page: Page, row: dict[str, Any], boxes: list[dict[str, float]]) -> list[Any]:
    """Return where boxes of an image are on the screen, from where the picture is."""
    picture = page.locator(".stage svg.ov image").bounding_box()
    assert picture is not None
    scale = picture["width"] / row["width"]
    assert picture["height"] == pytest.approx(row["height"] * scale, abs=1)
    return [
        (picture["x"] + x1 * scale, picture["y"] + y1 * scale,
         picture["x"] + x2 * scale, picture["y"] + y2 * scale)
        for x1, y1, x2, y2 in map(corners, boxes)
    ]  # fmt: skip


@pytest.mark.parametrize(
    "view",
    [("detect", "light", 1440), ("segment", "dark", 390), ("pose", "light", 1600)],
)
def test_boxes_lie_at_the_right_place(
    chromium: Browser, url: str, finished: FinishedRuns, view: tuple[str, str, int]
) -> None:
    name, scheme, width = view
    row = most_matched(finished, name)
    used = {side: [m[f"{side}_index"] for m in row["matches"]] for side in ("true", "predicted")}
    watched = Watched(chromium, url, color_scheme=scheme, viewport={"width": width, "height": 900})
    page = watched.open(f"/runs/{finished.ids[name]}/images/{row['image_index']}")
    for side, kind in (("true", "truth"), ("predicted", "pred")):
        boxes = [row[f"{side}_boxes"][at] for at in used[side] if at is not None]
        found = sorted(page.evaluate(ON_SCREEN, kind))
        assert len(found) == len(boxes) > 0
        for shown, wanted in zip(found, sorted(on_page(page, row, boxes)), strict=True):
            assert shown == pytest.approx(wanted, abs=1.5)
    watched.check()
    page.close()


def test_parts_are_switched_off_by_key(chromium: Browser, url: str, finished: FinishedRuns) -> None:
    row = most_matched(finished, "detect")
    watched = Watched(chromium, url)
    page = watched.open(f"/runs/{finished.ids['detect']}/images/{row['image_index']}")
    truth, made = page.locator(".ob rect.truth:not(.case)"), page.locator(".ob rect.pred")
    for key, parts in (("t", truth), ("p", made), ("l", page.locator(".ob .tag"))):
        expect(parts.first).to_be_visible()
        page.keyboard.press(key)
        for part in parts.all():
            expect(part).not_to_be_visible()
        page.keyboard.press(key)
        expect(parts.first).to_be_visible()
    page.get_by_label("False positive").uncheck()
    expect(page.locator(".fp-ob").first).not_to_be_visible()
    first = page.locator(".classes .toggle").first
    name = first.locator("bdi").inner_text()
    page.keyboard.press("1")
    for shape in page.locator(f'.ob[data-label="{name}"]').all():
        expect(shape).not_to_be_visible()
    before = page.locator(".stage svg.ov").get_attribute("viewBox")
    page.keyboard.press("+")
    assert page.locator(".stage svg.ov").get_attribute("viewBox") != before
    page.keyboard.press("0")
    assert page.locator(".stage svg.ov").get_attribute("viewBox") == before
    watched.check()
    page.close()


def test_keys_follow_the_list(chromium: Browser, url: str, finished: FinishedRuns) -> None:
    run = finished.run("detect")
    rows = open_results(finished.db, run).lazy().collect().to_dicts()
    wrong = [row["image_index"] for row in rows if row["fp"]]
    assert 1 < len(wrong) < IMAGES
    watched = Watched(chromium, url)
    page = watched.open(f"/runs/{run.id}?match=FP")
    page.locator("#images a.tile").first.click()
    for index in wrong:
        page.wait_for_url(f"**/images/{index}?match=FP**")
        expect(page.locator("h1")).to_have_text(rows[index]["image_id"])
        page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowLeft")
    page.wait_for_url(f"**/images/{wrong[-2]}?match=FP**")
    page.keyboard.press("Escape")
    page.wait_for_url(f"**/runs/{run.id}?match=FP#images")
    watched.check()
    page.close()


def test_awkward_names_fit(chromium: Browser, url: str, finished: FinishedRuns) -> None:
    last = IMAGES - 1  # in a folder of its own, after the others
    for width in (390, 1600):
        watched = Watched(chromium, url, viewport={"width": width, "height": 900})
        page = watched.open(f"/runs/{finished.ids['awkward']}/images/{last}")
        expect(page.locator("h1")).to_contain_text("<script>alert(1)<script>")
        picture, tags = (
            page.locator(".stage svg.ov image").bounding_box(),
            page.locator(".ob .tag rect"),
        )
        assert picture is not None
        for tag in tags.all():
            box = tag.bounding_box()
            assert box is not None
            assert box["width"] < 400
        watched.check()
        page.close()


def test_a_picture_whose_file_is_gone_says_so(
    chromium: Browser, finished: FinishedRuns, tmp_path: Path
) -> None:
    run = finished.run("detect")
    (row,) = open_results(finished.db, run).lazy().head(1).collect().to_dicts()
    file = Path(row["image_path"])
    away = file.rename(file.with_suffix(".away"))
    try:
        with listening(finished.db, tmp_path) as url:
            watched = Watched(chromium, url)
            page = watched.open(f"/runs/{run.id}")
            expect(page.locator("#images .tile .none")).to_have_text(re.compile("^IMAGE_NOT_FOUND"))
            page.locator("#images a.tile").first.click()
            expect(page.locator(".stage-view .none")).to_have_text(re.compile("^IMAGE_NOT_FOUND"))
            assert page.locator(".stage-view .ob").count() > 0
            watched.messages.clear()  # of the responses 404
            watched.check()
            page.close()
    finally:
        away.rename(file)
