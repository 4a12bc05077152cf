"""The comparison of two runs: the numbers of the command, and images that can be opened."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

import snellen
from examples.shapes.make_dataset import make
from snellen.analysis.comparison.compare import CompareSettings, compare_runs
from snellen.serve.ui.formats import metric, signed
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
                "run": {"engine": "inline"},
                "output": {"dir": str(folder / "out")},
                "database": url,
            }
        )
    db = Database.open(url)
    yield folder, db
    db.close()


@pytest.fixture
async def service(place: tuple[Path, Database]) -> AsyncIterator[Service]:
    folder, db = place
    async with served(db, folder / "service", roots=[str(folder / "shapes")]) as opened:
        yield opened


async def test_the_page_offers_completed_runs(service: Service) -> None:
    html = (await service.client.get("/compare")).text
    assert html.count('<option value="1">1 · tiny-detect-8 &lt;b&gt; · mAP50-95') == 2
    assert "hx-get" not in html.split("<main", 1)[1]
    chosen = (await service.client.get("/compare?a=1&b=2")).text
    assert 'hx-get="/ui/compare?a=1&amp;b=2"' in chosen
    assert 'href="/compare?a=2&amp;b=1"' in chosen


async def test_the_numbers_are_those_of_the_command(
    service: Service, place: tuple[Path, Database]
) -> None:
    db = place[1]
    runs = [get_test_run(db, number) for number in (1, 2)]
    expected = compare_runs(db, runs, CompareSettings())
    html = (await service.client.get("/ui/compare?a=1&b=2")).text
    primary = expected["primary"]
    assert f"{primary['key']} {signed(primary['difference'])}" in html
    for row in (*expected["metrics"], *expected["classes"]):
        cells = f'<td class="n">{metric(row["a"])}</td><td class="n">{metric(row["b"])}</td>'
        assert cells in html
    for kind in ("fixed", "broken"):
        assert f"<b>{expected['images'][kind]['count']} {kind}</b>" in html
    assert "snellen compare 1 2" in html


async def test_changed_images_can_be_opened(service: Service, place: tuple[Path, Database]) -> None:
    html = (await service.client.get("/ui/compare?a=1&b=2")).text
    images = re.findall(r'href="(/runs/2/images/\d+)"', html)
    expected = compare_runs(
        place[1], [get_test_run(place[1], n) for n in (1, 2)], CompareSettings()
    )
    assert len(images) == sum(expected["images"][kind]["count"] for kind in ("fixed", "broken"))
    assert (await service.client.get(images[0])).status_code == 200
    for path in re.findall(r'src="([^"]+)"', html)[:2]:
        shown = await service.client.get(path.replace("&amp;", "&"))
        assert (shown.status_code, shown.headers["content-type"]) == (200, "image/jpeg")


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
