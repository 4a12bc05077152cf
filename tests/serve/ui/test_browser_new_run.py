"""A new test run in Chromium: checked while it is typed, started, and watched until it is done."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from snellen.serve.jobs.runner import JobRunner, RunnerSettings
from snellen.store.runs import get_test_run
from tests.browser import Watched
from tests.serve.listening import listening
from tests.serve.ui.finished_runs import AWKWARD, IMAGES, FinishedRuns

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("root")


@pytest.fixture(scope="module")
def url(finished: FinishedRuns, output: Path) -> Iterator[str]:
    with listening(finished.db, output, roots=[str(finished.shapes)]) as address:
        yield address


@pytest.mark.slow
def test_a_run_is_checked_started_and_watched(
    chromium: Browser, url: str, finished: FinishedRuns, output: Path
) -> None:
    watched = Watched(chromium, url)
    page = watched.open("/new")
    watched.check()
    job = finished.run("other").training_job_id
    page.get_by_label("Training job").select_option(str(job))
    check = page.locator("#dataset-check")
    page.get_by_label("Dataset").press_sequentially("detect/data.yaml")
    expect(check).to_contain_text("yolo, split test", timeout=30_000)
    expect(check.locator(".checks li").nth(1)).to_contain_text(str(IMAGES))
    expect(check.locator(".map tbody tr")).to_have_count(3)
    expect(check).to_contain_text(f"snellen eval --job {job}@best --dataset detect/data.yaml")
    page.get_by_label("Name").fill("typed")
    with page.expect_response("**/inference/test-runs/*/events") as followed:
        page.get_by_role("button", name="Start test run").click()
        page.wait_for_url("**/runs/*")
    assert followed.value.headers["content-type"] == "text/event-stream"
    expect(page.locator("#live")).to_contain_text("Waiting for a worker")
    watched.check()
    with JobRunner(finished.db, RunnerSettings(1, 0, output)):
        expect(page.locator("#overview")).to_be_visible(timeout=60_000)
    run = get_test_run(finished.db, int(page.url.rsplit("/", 1)[1]))
    assert (run.status, run.name) == ("completed", "typed")
    assert run.metrics == pytest.approx(finished.run("other").metrics)
    expect(page.locator("#images a.tile")).to_have_count(IMAGES)
    watched.check()
    page.close()


@pytest.mark.parametrize(("scheme", "width"), [("dark", 1600), ("light", 390)])
def test_classes_are_mapped_by_hand(
    chromium: Browser, url: str, finished: FinishedRuns, scheme: str, width: int
) -> None:
    watched = Watched(chromium, url, color_scheme=scheme, viewport={"width": width, "height": 900})
    page = watched.open("/new")
    page.get_by_label("Training job").select_option(str(finished.run("other").training_job_id))
    page.get_by_label("Dataset").fill("awkward/data.yaml")
    choices = page.locator("#dataset-check .map select")
    expect(choices).to_have_count(3)
    for name in AWKWARD:
        expect(page.locator("#dataset-check td").get_by_text(name, exact=True)).to_be_visible()
    expect(page.locator("#dataset-check .note.warn")).to_contain_text("not in the checkpoint")
    watched.check()
    for place, choice in enumerate(("circle", "square", "leave out")):
        choices.nth(place).select_option(label=choice)
        expect(choices.nth(place).locator("option:checked")).to_have_text(choice)
    expect(page.locator("#dataset-check .note")).to_have_count(0)
    watched.check()
    page.close()
