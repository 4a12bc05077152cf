"""The list of runs in Chromium: it loads nothing from elsewhere, and does what people do there."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Dialog, expect

from snellen.store.kinds import TEST_RUN
from snellen.store.runs import create_inference_job
from snellen.store.sql.database import Database
from snellen.store.tags import set_tag
from tests.browser import Watched
from tests.serve.listening import listening
from tests.serve.local_service import fixture_job
from tests.serve.ui.test_runs import AWKWARD, add_run

pytestmark = pytest.mark.browser
CANVAS = {"light": "rgb(255, 255, 255)", "dark": "rgb(17, 19, 23)"}


@pytest.fixture(scope="module")
def db(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    database = Database.open(f"sqlite:///{tmp_path_factory.mktemp('db') / 'runs.db'}")
    yield database
    database.close()


@pytest.fixture(scope="module")
def ids(db: Database) -> dict[str, int]:
    job = fixture_job(db, "detect")
    made = {name: add_run(db, name) for name in ("older", "newer", AWKWARD)}
    made["other"] = add_run(db, "other", fingerprint={"manifest_hash": "else"})
    made["gone"] = add_run(db, "gone")
    made["stopped"] = add_run(
        db, "stopped", status="interrupted", error_message="Ctrl-C", primary_metric_value=None
    )
    made["cams"] = create_inference_job(
        db, name="cams", training_job_id=job.id, checkpoint_path="/w/best.pt", status="pending",
        task_type="object_detection", inference_type="dataset", total_images=20,
    )  # fmt: skip
    return made


@pytest.fixture(scope="module")
def url(
    db: Database, ids: dict[str, int], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    with listening(db, tmp_path_factory.mktemp("root")) as address:
        yield address


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1440])
def test_the_page_is_sound(chromium: Browser, url: str, scheme: str, width: int) -> None:
    watched = Watched(chromium, url, color_scheme=scheme, viewport={"width": width, "height": 900})
    page = watched.open("/")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == CANVAS[scheme]
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    watched.check()
    page.close()


def test_a_filter_changes_the_list_and_the_address(chromium: Browser, url: str) -> None:
    watched = Watched(chromium, url)
    page = watched.open("/")
    page.get_by_label("Search runs").fill("older")
    expect(page.locator("tbody tr")).to_have_count(1)
    assert "text=older" in page.url
    again = Watched(chromium, url)
    again.open(page.url.removeprefix(url))
    expect(again.page.locator("tbody tr")).to_have_count(1)
    expect(again.page.get_by_label("Search runs")).to_have_value("older")
    page.get_by_label("Search runs").fill("nothing has this name")
    page.get_by_role("link", name="Clear the filters").click()
    expect(page.locator("tbody tr")).to_have_count(7)
    page.get_by_role("link", name="Name").click()
    expect(page.locator("th[aria-sort=ascending]")).to_have_text("Name")
    watched.check()
    page.close()
    again.page.close()


def test_two_runs_are_chosen_for_a_comparison(
    chromium: Browser, url: str, ids: dict[str, int]
) -> None:
    watched = Watched(chromium, url)
    page = watched.open("/")
    compare = page.locator("[data-go]")
    page.get_by_label("Select newer").check()
    expect(page.locator("[data-text]")).to_contain_text("Select a second run")
    assert compare.get_attribute("href") is None
    page.get_by_label("Select older").check()
    expect(page.locator("[data-text]")).to_contain_text("older (A) and newer (B): same images")
    assert compare.get_attribute("href") == f"/compare?a={ids['older']}&b={ids['newer']}"
    page.get_by_label("Select other").check()
    expect(page.locator("[data-text]")).to_contain_text("different images")
    page.get_by_label("Clear the selection").click()
    expect(page.locator("[data-bulk]")).to_be_hidden()
    watched.check()
    page.close()


def test_a_waiting_job_is_stopped_and_resumed(
    chromium: Browser, url: str, ids: dict[str, int]
) -> None:
    watched = Watched(chromium, url)
    page = watched.open("/?kind=inference_job")
    page.get_by_role("button", name="Stop").click()
    expect(page.locator(f"#j{ids['cams']}")).to_contain_text("Cancelled")
    page.get_by_role("button", name="Resume").click()
    expect(page.locator(f"#j{ids['cams']}")).to_contain_text("Waiting for a worker")
    watched.check()
    page.close()


def test_a_run_is_deleted_after_a_question(
    chromium: Browser, url: str, ids: dict[str, int]
) -> None:
    watched = Watched(chromium, url)
    asked: list[str] = []

    def refuse(dialog: Dialog) -> None:
        asked.append(dialog.message)
        dialog.dismiss()

    page = watched.open("/?text=gone")
    row = page.locator(f"#t{ids['gone']}")
    page.once("dialog", refuse)
    page.get_by_label("Actions for gone").click()
    page.get_by_role("button", name="Delete").click()
    expect(row).to_be_visible()
    page.once("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Delete").click()
    expect(row).to_have_count(0)
    assert asked == [f"Delete test run {ids['gone']} (gone) with its rows and files?"]
    watched.check()
    page.close()


def test_a_request_that_fails_says_why(
    chromium: Browser, db: Database, url: str, ids: dict[str, int]
) -> None:
    set_tag(db, TEST_RUN, ids["older"], "baseline")
    watched = Watched(chromium, url)
    page = watched.open("/?text=older")
    page.once("dialog", lambda dialog: dialog.accept())
    page.get_by_label("Actions for older").click()
    page.get_by_role("button", name="Delete").click()
    note = page.locator("[data-failure]")
    expect(note).to_contain_text(f"run {ids['older']} has the tag baseline.")
    expect(note).to_contain_text("RUN_IS_TAGGED · 409")
    expect(page.locator(f"#t{ids['older']}")).to_be_visible()
    note.get_by_label("Close").click()
    expect(note).to_be_hidden()
    page.route("**/ui/compare?*", lambda route: route.abort())
    page.goto(f"{url}/compare?a={ids['older']}&b={ids['newer']}")
    expect(page.locator("#comparison")).to_have_text("The server does not answer.")
    page.close()


def test_keys_and_the_theme(chromium: Browser, url: str) -> None:
    watched = Watched(chromium, url, color_scheme="light")
    page = watched.open("/")
    page.keyboard.press("/")
    expect(page.get_by_label("Search runs")).to_be_focused()
    page.keyboard.press("Escape")
    page.locator("h1").click()
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_contain_text("Go to runs")
    page.keyboard.press("Escape")
    for _ in range(2):
        page.get_by_role("button", name="Theme").click()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == CANVAS["dark"]
    page.reload()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == CANVAS["dark"]
    watched.check()
    page.close()
