"""A run in Chromium: from its numbers to exactly the images and objects that they count."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from snellen.analysis.error_analysis import ErrorAnalysis, InstanceQuery
from snellen.analysis.reader import open_results
from snellen.analysis.rescore import rescore_run
from snellen.pipelines.progress import Reporter
from tests.browser import Watched
from tests.serve.listening import listening
from tests.serve.ui.finished_runs import AWKWARD, IMAGES, FinishedRuns

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def url(finished: FinishedRuns, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    root = tmp_path_factory.mktemp("root")
    with listening(finished.db, root, roots=[str(finished.shapes)]) as address:
        yield address


def listed(page: Page) -> list[int]:
    """Return the images of the tiles."""
    found = page.locator("#images a.tile").evaluate_all("(all) => all.map((a) => a.pathname)")
    return [int(path.rsplit("/", 1)[1]) for path in found]


@pytest.mark.parametrize(
    "view",
    [
        ("detect", "light", 1440), ("classify", "dark", 390), ("segment", "light", 390),
        ("pose", "dark", 1600), ("awkward", "dark", 1600), ("awkward", "light", 390),
    ],
)  # fmt: skip
def test_the_page_is_sound(
    chromium: Browser, url: str, finished: FinishedRuns, view: tuple[str, str, int]
) -> None:
    name, scheme, width = view
    watched = Watched(chromium, url, color_scheme=scheme, viewport={"width": width, "height": 900})
    page = watched.open(f"/runs/{finished.ids[name]}")
    expect(page.locator("#images a.tile")).to_have_count(IMAGES)
    for chart in ("operating", "errors"):
        expect(page.locator(f"#{chart} h2, #{chart} h3").first).to_be_visible()
    watched.check()
    if name != "classify":
        page.get_by_role("radiogroup", name="Show").get_by_text("Objects").click()
        page.wait_for_url("**view=objects**")
        watched.check()
    page.close()


def test_a_cell_leads_to_exactly_its_objects(
    chromium: Browser, url: str, finished: FinishedRuns
) -> None:
    run = finished.run("detect")
    names, matrix = run.class_names or [], run.confusion_matrix
    true, predicted = next(
        (t, p) for t, row in enumerate(matrix) for p, count in enumerate(row) if count and t != p
    )
    label = [names[index] if index < len(names) else "background" for index in (true, predicted)]
    query = InstanceQuery(true=label[0], predicted=label[1])
    expected = ErrorAnalysis(finished.db, run).instances(query).instances
    watched = Watched(chromium, url)
    page = watched.open(f"/runs/{run.id}")
    page.locator("table.cm tbody tr").nth(true).locator("td").nth(predicted).locator("a").click()
    page.wait_for_url("**view=objects**")
    expect(page.locator("#images a.tile")).to_have_count(matrix[true][predicted])
    assert listed(page) == [one.image_index for one in expected]
    expect(page.locator(".pages .faint")).to_contain_text(f"of {matrix[true][predicted]}")
    watched.check()
    page.close()


def test_a_cell_of_a_classifier_leads_to_exactly_its_images(
    chromium: Browser, url: str, finished: FinishedRuns
) -> None:
    run = finished.run("classify")
    rows = open_results(finished.db, run).lazy().collect().to_dicts()
    wrong = next(row for row in rows if row["is_correct"] is False)
    pair = (wrong["true_label_id"], wrong["predicted_label_id"])
    watched = Watched(chromium, url)
    page = watched.open(f"/runs/{run.id}")
    page.locator("table.cm tbody tr").nth(pair[0]).locator("td").nth(pair[1]).locator("a").click()
    page.wait_for_url("**predicted_class=**")
    assert listed(page) == [
        row["image_index"]
        for row in rows
        if (row["true_label_id"], row["predicted_label_id"]) == pair
    ]
    page.close()


def test_the_slider_shows_what_rescoring_computes(
    chromium: Browser, url: str, finished: FinishedRuns
) -> None:
    threshold = 0.4
    words = [f"metrics.operating_confidence={threshold}", "metrics.bootstrap=0"]
    run = finished.run("detect")
    rescored = rescore_run(finished.db, run, [*words, "metrics.slices=[]"], Reporter())
    metrics, rows = rescored.metrics or {}, (rescored.per_class_metrics or {}).values()
    watched = Watched(chromium, url)
    page = watched.open(f"/runs/{finished.ids['detect']}")
    page.locator("#conf").fill(str(threshold))
    for key in ("precision", "recall", "f1"):
        expect(page.locator(f"[data-out={key}]")).to_have_text(f"{metrics[key]:.3f}")
    for key in ("tp", "fp", "fn"):
        expect(page.locator(f"[data-out={key}]")).to_have_text(str(sum(row[key] for row in rows)))
    watched.check()
    page.close()


def test_filters_are_in_the_address(chromium: Browser, url: str, finished: FinishedRuns) -> None:
    run = finished.run("detect")
    rows = open_results(finished.db, run).lazy().collect().to_dicts()
    watched = Watched(chromium, url)
    page = watched.open(f"/runs/{run.id}")
    page.get_by_label("Match").select_option("FP")
    page.wait_for_url("**match=FP**")
    expect(page.locator("#images a.tile")).to_have_count(sum(row["fp"] > 0 for row in rows))
    page.get_by_label("Sort").select_option("-fp")
    page.wait_for_url("**sort=-fp**")
    page.reload()
    expected = sorted((row for row in rows if row["fp"]), key=lambda row: -row["fp"])
    assert [row["fp"] for row in expected] == [rows[index]["fp"] for index in listed(page)]
    page.close()


def test_awkward_names_are_text(chromium: Browser, url: str, finished: FinishedRuns) -> None:
    page = Watched(chromium, url).open(f"/runs/{finished.ids['awkward']}")
    expect(page.locator("h1")).to_have_text(AWKWARD[0])
    for name in AWKWARD:
        expect(page.locator("#classes th").get_by_text(name, exact=True)).to_be_visible()
    page.close()


def test_the_matrix_follows_the_slider(chromium: Browser, url: str, finished: FinishedRuns) -> None:
    watched = Watched(chromium, url)
    page = watched.open(f"/runs/{finished.ids['detect']}")
    page.locator("#conf").fill("0.5")
    page.wait_for_url("**at=0.5")
    expect(page.locator("#confusion p")).to_contain_text("at confidence ≥ 0.5")
    page.get_by_role("radiogroup", name="Cells show").get_by_text("Count").click()
    cell = page.locator("table.cm td.ok a").first
    count = int(cell.inner_text())
    assert count > 0
    cell.click()
    page.wait_for_url("**view=objects**at=0.5**")
    expect(page.locator("#images a.tile")).to_have_count(count)
    expect(page.locator("[data-out=value]").first).to_have_text("0.50")
    watched.check()
    page.get_by_role("button", name="Run setting").click()
    page.wait_for_url("**at=0.25")
    page.get_by_text("All stored").click()
    expect(page.locator("#errors")).to_contain_text("of all stored predictions")
    watched.check()
    page.close()
