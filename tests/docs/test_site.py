"""The site builds without a warning, loads nothing from elsewhere; its reference is complete."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from mkdocs.commands.build import build
from mkdocs.config import load_config

import snellen
from docs.site.codes import raised
from docs.site.routes import openapi
from docs.site.tables import CONFIGURATIONS, keys
from snellen.store.parquet.schema import MANIFEST_SCHEMA, RESULT_SCHEMA
from snellen.store.sql.models import Base
from tests.structure.test_sizes import ROOT

pytestmark = pytest.mark.slow
LOADED = {"script": "src", "img": "src", "source": "srcset", "iframe": "src", "link": "href"}
"""Elements that make a browser request something, and their attribute."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site; a warning, such as a broken link or anchor, stops the build."""
    folder = tmp_path_factory.mktemp("site")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        build(load_config("mkdocs.yml", site_dir=str(folder)))
    return folder


class Requests(HTMLParser):
    """Addresses that a page makes a browser request."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag in LOADED and given.get("rel") not in {"canonical", "prev", "next"}:
            self.found.append(given.get(LOADED[tag]) or "")


def test_no_page_loads_anything_from_elsewhere(site: Path) -> None:
    pages = sorted(site.rglob("*.html"))
    assert len(pages) > 50
    for page in pages:
        requests = Requests()
        requests.feed(page.read_text())
        assert len(requests.found) > 5
        assert [url for url in requests.found if re.match(r"[a-z]+:|//", url)] == [], page.name


def test_no_style_loads_anything_from_elsewhere(site: Path) -> None:
    styles = list(site.rglob("*.css"))
    assert styles
    for style in styles:
        urls = re.findall(r"(?:url\(|@import )[\"']?([^\"')]+)", style.read_text())
        assert [url for url in urls if re.match(r"https?:|//", url)] == []


def test_pages_can_be_searched_without_a_server(site: Path) -> None:
    assert "iframe-worker" in (site / "index.html").read_text()
    assert "McNemar" in (site / "search" / "search_index.js").read_text()


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_every_key_has_a_type_a_default_and_a_meaning(name: str, site: Path) -> None:
    page = (site / "reference" / f"{name}-keys.html").read_text()
    rows = list(keys(CONFIGURATIONS[name].model_json_schema()))
    assert len(rows) > 30
    for key, kind, default, meaning in rows:
        assert f"<code>{key.strip('`')}</code>" in page
        assert kind != "any", key
        assert default, key
        assert len(meaning) > 10, key


def test_every_column(site: Path) -> None:
    page = (site / "reference" / "columns.html").read_text()
    columns = [*RESULT_SCHEMA.names, *MANIFEST_SCHEMA.names]
    for table in Base.metadata.tables.values():
        columns += [table.name, *table.columns.keys()]
    assert [name for name in columns if f"<code>{name}</code>" not in page] == []


def test_every_error_code(site: Path) -> None:
    page = (site / "reference" / "error-codes.html").read_text()
    codes = {error.code for error in raised()}
    assert {"CONFIG_UNKNOWN_KEY", "DATASET_FORMAT", "RUN_NOT_FOUND", "OVERLOADED"} & codes
    assert len(codes) > 200
    assert {code for code in codes if f"<code>{code}</code>" not in page} == set()


def test_every_route(site: Path) -> None:
    page = (site / "reference" / "routes.html").read_text()
    paths = openapi()["paths"]
    assert "/inference/single" in paths
    assert [path for path in paths if f"<code>{path}</code>" not in page] == []


def test_every_public_name_of_python(site: Path) -> None:
    page = (site / "reference" / "python.html").read_text()
    assert [name for name in snellen.__all__ if f'id="snellen{name.lower()}"' not in page] == []
