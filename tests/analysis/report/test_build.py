"""Reports: what they say, and that every text in them is text."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import replace
from html import unescape
from html.parser import HTMLParser
from io import BytesIO
from pathlib import Path

import pytest
import yaml
from PIL import Image

from snellen.adapters.errors import InputError
from snellen.analysis.report.build import ReportSettings, configuration_text, write_report
from snellen.analysis.report.numbers import decimal
from snellen.pipelines.config.loader import build_config
from snellen.pipelines.progress import Reporter
from snellen.store.views import RunView
from tests.analysis.detected import Detected
from tests.analysis.report.conftest import AWKWARD, RUN_NAME, Place

LIMIT = 5_000_000
LINKS = {"src", "href", "action", "data", "poster", "srcset", "xlink:href"}


class Page(HTMLParser):
    """The elements, attributes and texts of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.ids: list[str] = []
        self.texts: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        self.ids += [value or "" for name, value in attrs if name == "id"]

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())


@pytest.fixture(scope="module")
def page(place: Place, awkward: RunView) -> Page:
    text = place.report(awkward, "awkward.html")
    assert len(text.encode()) < LIMIT
    return Page(text)


@pytest.fixture(scope="module")
def compared(detected: Detected, place: Place) -> str:
    """The report of a detector, compared with another operating point of it."""
    run = detected.at(0.5)
    other = replace(place, db=detected.db)
    return other.report(run, "boxes.html", base=detected.run, bundle=place.folder / "pages")


def test_names_are_text(page: Page) -> None:
    assert page.tags.count("script") == 1  # the theme button
    handlers = [name for name, _ in page.attributes if name.startswith("on")]
    assert handlers == []
    for name in (*AWKWARD, RUN_NAME, "<b>3&amp;.png"):
        assert name in page.text, name


def test_a_report_loads_nothing(page: Page, compared: str) -> None:
    for found in (page, Page(compared)):
        for name, value in found.attributes:
            if name in LINKS:
                assert value.startswith(("data:image/", "#")), (name, value[:60])
            assert name != "style"
        assert not {"iframe", "object", "embed", "form", "base"} & set(found.tags)


def test_the_policy_allows_its_own_style_and_script_only(compared: str) -> None:
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]+)"', compared)
    rules = dict(part.strip().split(" ", 1) for part in unescape(policy).split(";"))
    assert rules["default-src"] == rules["base-uri"] == rules["form-action"] == "'none'"
    assert rules["img-src"] == "data:"
    for tag, rule in (("style", "style-src"), ("script", "script-src")):
        (content,) = re.findall(rf"<{tag}>(.*?)</{tag}>", compared, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert rules[rule] == f"'sha256-{digest}'"


def test_ids_are_unique_and_anchors_lead_to_them(page: Page, compared: str) -> None:
    for found in (page, Page(compared)):
        assert len(found.ids) == len(set(found.ids))
        anchors = {
            value[1:]
            for name, value in found.attributes
            if value.startswith("#") and name == "href"
        }
        assert anchors <= set(found.ids)


def test_the_numbers_are_those_of_the_run(page: Page, awkward: RunView, place: Place) -> None:
    for key, value in (awkward.metrics or {}).items():
        assert f"{key.replace('_', ' ')} {decimal(value)}" in page.text, key
    low, high = (awkward.intervals or {})["accuracy"]
    assert f"{decimal(low)}–{decimal(high)}" in page.text
    assert f"14 of 15 images scored, {len(AWKWARD)} classes" in page.text
    assert "1 failed" in page.text
    assert "image_size small" in page.text  # a slice
    for digest in ("config_hash", "manifest_hash"):
        assert (awkward.fingerprint or {})[digest] in page.text


def test_the_configuration_repeats_the_run(page: Page, awkward: RunView) -> None:
    text = configuration_text(awkward)
    assert build_config(yaml.safe_load(text)) == build_config(awkward.config)
    assert "snellen eval run.yaml" in page.text
    assert "ece_bins" not in text  # a default


def test_pictures_are_small_jpegs(page: Page, awkward: RunView) -> None:
    sources = [v for name, v in page.attributes if name == "src"]
    wrong = sum(row["support"] for row in (awkward.per_class_metrics or {}).values())
    assert 0 < len(sources) <= wrong
    for source in sources:
        data = base64.b64decode(source.removeprefix("data:image/jpeg;base64,"))
        with Image.open(BytesIO(data)) as picture:
            assert max(picture.size) <= 500


def test_a_comparison_says_who_is_better_and_shows_what_changed(compared: str) -> None:
    found = Page(compared)
    assert "Comparison 4 common images" in found.text
    assert "A and B are equivalent: mAP50-95 0.000" in found.text
    assert "1 fixed" in found.text
    assert "1 broken" in found.text
    assert "TIDE at confidence ≥ 0.5" in found.text
    assert "True positives 3 False positives 1 False negatives 3" in found.text
    assert found.text.count("missed object") == 1


def test_a_bundle_has_a_page_of_each_kind(compared: str, place: Place) -> None:
    folder = place.folder / "pages"
    names = sorted(path.name for path in folder.iterdir())
    assert names == ["broken-1.html", "fixed-1.html", "index.html", "report.json", "worst-1.html"]
    for name in (name for name in names if name.endswith(".html")):
        page = Page((folder / name).read_text(encoding="utf-8"))
        local = {v for n, v in page.attributes if n == "href" and v.endswith(".html")}
        assert {"broken-1.html", "fixed-1.html", "worst-1.html"} <= local
        assert all((folder / link).is_file() for link in local)
    worst = Page((folder / "worst-1.html").read_text(encoding="utf-8"))
    assert sum(n == "src" for n, _ in worst.attributes) == 3
    broken = Page((folder / "broken-1.html").read_text(encoding="utf-8"))
    assert sum(n == "src" for n, _ in broken.attributes) == 2  # A and B


@pytest.mark.parametrize("existing", ["report", "bundle", "folder"])
def test_what_exists_is_kept(existing: str, detected: Detected, tmp_path: Path) -> None:
    report, bundle = tmp_path / "report.html", tmp_path / "pages"
    if existing == "report":
        report.write_text("mine")
    else:
        bundle.mkdir()
        (bundle / ("report.json" if existing == "bundle" else "mine.txt")).write_text("mine")
    before = sorted(tmp_path.rglob("*"))

    def write(overwrite: bool) -> None:
        settings = ReportSettings(report, bundle=bundle, overwrite=overwrite)
        write_report(detected.db, detected.run, settings, Reporter())

    with pytest.raises(InputError, match="exists") as caught:
        write(False)
    assert caught.value.code == "OUTPUT_TAKEN"
    assert sorted(tmp_path.rglob("*")) == before
    if existing == "folder":
        with pytest.raises(InputError, match="is not an earlier bundle"):
            write(True)
        assert (bundle / "mine.txt").is_file()
    else:
        write(True)
        assert report.read_text().startswith("<!doctype html>")
        assert (bundle / "index.html").is_file()


def test_a_run_that_is_not_completed_has_no_report(detected: Detected, tmp_path: Path) -> None:
    run = replace(detected.run, status="failed")
    with pytest.raises(InputError, match="snellen resume"):
        write_report(detected.db, run, ReportSettings(tmp_path / "r.html"), Reporter())
    assert list(tmp_path.iterdir()) == []
