"""The comparison of two runs: the numbers of the command, and images that can be opened."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import snellen
from examples.shapes.make_dataset import make
from snellen.analysis.comparison.compare import CompareSettings, compare_runs
from snellen.analysis.comparison.flips import Flips, find_flips
from snellen.analysis.comparison.pairing import pair_runs
from snellen.serve.ui.compare_page.changes import KINDS
from snellen.serve.ui.formats import exact, metric, signed
from snellen.store.runs import get_test_run
from snellen.store.sql.database import Database
from tests.serve.local_service import FIXTURES, Service, served
from tests.serve.ui.test_runs import add_run

pytestmark = [pytest.mark.anyio, pytest.mark.slow]
NAMES = ("tiny-detect-8", "tiny-detect")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Database]]:
    folder = tmp_path_factory.mktemp("compare")
    make(folder / "shapes", counts={"test": 16, "val": 1}, seed=2)
    url = f"sqlite:///{folder / 'runs.db'}"
    for name in NAMES:
        snellen.evaluate(
            {
                "name": f"{name} <b>",
                "model": {"checkpoint": str(FIXTURES / f"{name}.pt")},
                "dataset": {"path": str(folder / "shapes" / "detect" / "data.yaml")},
                "metrics": {"bootstrap": 0, "slices": ["image_size"]},
                "run": {"engine": "inline"},
                "output": {"dir": str(folder / "out")},
                "database": url,
            }
        )
    db = Database.open(url)
    yield folder, db
    db.close()


@pytest.fixture(scope="module")
def expected(place: tuple[Path, Database]) -> dict[str, Any]:
    runs = [get_test_run(place[1], number) for number in (1, 2)]
    return compare_runs(place[1], runs, CompareSettings(slices=("image_size",)))


@pytest.fixture(scope="module")
def flips(place: tuple[Path, Database]) -> Flips:
    return find_flips(pair_runs(place[1], [get_test_run(place[1], n) for n in (1, 2)]))


@pytest.fixture
async def service(place: tuple[Path, Database]) -> AsyncIterator[Service]:
    folder, db = place
    async with served(db, folder / "service", roots=[str(folder / "shapes")]) as opened:
        yield opened


async def test_the_page_offers_completed_runs(service: Service) -> None:
    html = (await service.client.get("/compare")).text
    assert html.count('<option value="1">1 · tiny-detect-8 &lt;b&gt; · mAP50-95') == 2
    assert "hx-get" not in html.split("<main", 1)[1]
    chosen = (await service.client.get("/compare?a=1&b=2&unit=objects")).text
    assert 'hx-get="/ui/compare?a=1&amp;b=2&amp;unit=objects"' in chosen
    assert 'href="/compare?a=2&amp;b=1"' in chosen
    assert 'href="/compare?b=2"' in chosen


async def test_the_numbers_are_those_of_the_command(
    service: Service, expected: dict[str, Any]
) -> None:
    html = (await service.client.get("/ui/compare?a=1&b=2")).text
    primary = expected["primary"]
    assert f"{primary['key']} {signed(primary['difference'])}" in html
    assert expected["slices"]
    for row in (*expected["metrics"], *expected["classes"], *expected["slices"]):
        a, b = (f'title="{exact(row[side])}">{metric(row[side])}</td>' for side in ("a", "b"))
        assert f'<td class="n muted" {a}<td class="n" {b}' in html
    assert "snellen compare 1 2 --slice image_size" in html


@pytest.mark.parametrize("unit", ["images", "objects"])
async def test_each_count_leads_to_what_it_counts(
    service: Service, expected: dict[str, Any], flips: Flips, unit: str
) -> None:
    html = (await service.client.get(f"/ui/compare/changed?a=1&b=2&unit={unit}")).text
    for kind, (title, _) in KINDS[unit].items():
        count = expected[unit][kind]["count"]
        assert f">{count} {title}</b>" in html
        listed = flips.images if unit == "images" else flips.objects
        names = listed.filter(pl.col("kind") == kind).sort("index_b", maintain_order=True)
        for place, name in enumerate(names["image_id"].to_list(), 1):
            path = f"/ui/compare/changed?a=1&b=2&unit={unit}&change={kind}&place={place}"
            shown = (await service.client.get(path)).text
            assert f"<b><bdi>{name}</bdi></b>" in shown
            assert f"{place} of {count}</span>" in shown
            assert ('aria-label="Next change"' in shown) == (place < count)
        if not count:
            empty = await service.client.get(
                f"/ui/compare/changed?a=1&b=2&unit={unit}&change={kind}"
            )
            assert "<b>None.</b>" in empty.text


async def test_an_image_shows_its_changes(service: Service, flips: Flips) -> None:
    images = flips.images.sort("index_b").filter(pl.col("kind") == "both_incorrect")
    for place, name in enumerate(images["image_id"].to_list(), 1):
        path = f"/ui/compare/changed?a=1&b=2&change=both_incorrect&place={place}"
        html = (await service.client.get(path)).text
        of_image = flips.objects.filter(pl.col("image_id") == name)["kind"].to_list()
        for kind, word in (
            ("fixed", "fixed"), ("broken", "broken"), ("new_fp", "new"), ("vanished_fp", "gone"),
        ):  # fmt: skip
            assert len(re.findall(rf'class="(?:good|bad)">{word}</td>', html)) == (
                of_image.count(kind)
            )
        assert html.count("<image href=") == 2
        picture = re.findall(r'<image href="([^"]+)"', html)[0].replace("&amp;", "&")
        shown = await service.client.get(picture)
        assert (shown.status_code, shown.headers["content-type"]) == (200, "image/jpeg")


async def test_classes_lead_to_their_objects(service: Service, flips: Flips) -> None:
    html = (await service.client.get("/ui/compare?a=1&b=2")).text
    found = re.findall(r'data-v="(\d+)"><a href="/compare([^"]*class=[^"]*)#changed"', html)
    counted = flips.objects.filter(pl.col("kind").is_in(["fixed", "broken"]))
    assert sum(int(count) for count, _ in found) == len(counted) > 0
    for count, query in found:
        shown = (await service.client.get("/ui/compare/changed" + query.replace("&amp;", "&"))).text
        assert f"1 of {count}</span>" in shown


@pytest.mark.parametrize("query", ["unit=x", "change=x", "place=-1", "place=99999", "class=<b>"])
async def test_what_makes_no_sense_is_ignored(service: Service, query: str) -> None:
    found = await service.client.get(f"/ui/compare/changed?a=1&b=2&{query}")
    assert found.status_code == 200
    assert "<b>None of this class.</b>" in found.text or "1 of" in found.text or "99" in query


async def test_what_cannot_be_compared_is_said(
    service: Service, place: tuple[Path, Database]
) -> None:
    assert (await service.client.get("/compare?a=1&b=99")).status_code == 404
    other = add_run(place[1], "stopped", status="interrupted")
    found = await service.client.get(f"/ui/compare?a=1&b={other}")
    assert "is interrupted. Expected completed runs." in found.text
    classes = add_run(place[1], "pictures", task_type="image_classification", status="completed")
    found = await service.client.get(f"/ui/compare?a=1&b={classes}")
    assert 'role="alert"' in found.text


async def test_one_common_image_has_no_interval(
    place: tuple[Path, Database], service: Service
) -> None:
    folder, db = place
    one = snellen.evaluate(
        {
            "name": "one image",
            "model": {"checkpoint": str(FIXTURES / "tiny-detect.pt")},
            "dataset": {"path": str(folder / "shapes/detect/data.yaml"), "limit": 1},
            "metrics": {"bootstrap": 0},
            "run": {"engine": "inline"},
            "output": {"dir": str(folder / "out")},
            "database": db.url,
        }
    )
    html = (await service.client.get(f"/ui/compare?a=1&b={one.id}")).text
    assert "<b>1</b> common image</span>" in html
    assert "Not settled: mAP50-95" in html
    assert "Nothing is known of its interval: paired bootstrap over 1 images" in html
