"""Labels are reviewed in Chromium, with keys alone."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Dialog, expect

from snellen.store.service.reviews import list_reviews
from tests.browser import Watched
from tests.serve.listening import listening
from tests.serve.ui.finished_runs import FinishedRuns

pytestmark = [pytest.mark.browser, pytest.mark.slow]
NOTE = "<script>alert(1)</script>\N{HEBREW LETTER ALEF}\N{GRINNING FACE}" + "x" * 300


@pytest.fixture(scope="module")
def url(finished: FinishedRuns, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with listening(finished.db, tmp_path_factory.mktemp("root")) as address:
        yield address


@pytest.mark.parametrize("name", ["detect", "awkward"])
def test_suspect_labels_are_reviewed_by_keys(
    chromium: Browser, url: str, finished: FinishedRuns, name: str
) -> None:
    number = finished.ids[name]
    scheme, width = {"detect": ("light", 1440), "awkward": ("dark", 390)}[name]
    watched = Watched(chromium, url, color_scheme=scheme, viewport={"width": width, "height": 900})
    page = watched.open(f"/review?run={number}")
    watched.check()
    page.keyboard.press("s")
    page.wait_for_url(f"**/review/suspects?run={number}")
    expect(page.locator("svg.ov .sus")).to_be_visible()
    first = page.locator(".stage-bar b").inner_text()
    watched.check()
    before = list_reviews(finished.db, {}, limit=1, offset=0)[0]
    page.keyboard.press("/")
    page.keyboard.type(NOTE)
    page.locator("h1").click()
    page.keyboard.press("w")
    page.wait_for_url("**place=2")
    page.keyboard.press("u")
    page.wait_for_url("**place=3")
    page.keyboard.press("ArrowLeft")
    page.wait_for_url("**place=2")
    expect(page.locator("#decide .chip")).to_have_text("Unclear")
    found = list_reviews(finished.db, {}, limit=9, offset=0)
    assert found[0] == before + 2
    assert [one.status for one in found[1][:2]] == ["unclear", "wrong_label"]
    assert (found[1][1].image_id, found[1][1].note) == (first, NOTE)
    page.keyboard.press("Escape")
    page.wait_for_url(f"**/review?run={number}")
    expect(page.locator("td.note-text").filter(has_text="alert(1)")).to_have_text(NOTE)
    watched.check()
    page.close()


def test_a_review_is_written_on_the_page_of_an_image(
    chromium: Browser, url: str, finished: FinishedRuns
) -> None:
    number = finished.ids["segment"]
    watched = Watched(chromium, url)
    page = watched.open(f"/runs/{number}/images/3")
    form = page.locator("#reviews")
    form.get_by_label("About").select_option(index=1)
    form.get_by_label("Note").fill("too small")
    form.get_by_role("button", name="Save").click()
    expect(form.get_by_text("too small")).to_be_visible()
    expect(form.get_by_text("object 0", exact=True)).to_be_visible()
    watched.check()
    form.get_by_label("Delete the review of object 0").click()
    expect(page.locator("#reviews li")).to_have_count(0)
    watched.check()
    page.close()


def test_a_review_is_deleted_with_a_confirmation(
    chromium: Browser, url: str, finished: FinishedRuns
) -> None:
    number = finished.ids["detect"]
    watched = Watched(chromium, url)
    page = watched.open(f"/review?run={number}")
    rows = page.locator("tbody tr")
    page.get_by_role("button", name="Fixed").first.click()
    expect(page.get_by_role("cell", name="Fixed", exact=True)).to_have_count(1)
    count = rows.count()
    asked: list[str] = []

    def answer(dialog: Dialog) -> None:
        asked.append(dialog.message)
        dialog.accept()

    page.on("dialog", answer)
    page.get_by_label("Delete the review").first.click()
    expect(rows).to_have_count(count - 1)
    assert asked[0].startswith("Delete this review of ")
    page.close()
