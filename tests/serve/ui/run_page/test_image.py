"""The page of an image: every object with its match, and the neighbours in the list."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools import mask as coco

import snellen
from snellen.analysis.reader import open_results
from snellen.store.runs import get_test_run
from snellen.store.sql.database import Database
from snellen.store.views import RunView
from tests.serve.local_service import FIXTURES, Service, served
from tests.serve.ui.run_page.reading import links, read, tiles

pytestmark = [pytest.mark.anyio, pytest.mark.slow]


def rows_of(db: Database, run: RunView) -> list[dict[str, Any]]:
    return open_results(db, run).lazy().collect().to_dicts()


def drawn(page: str) -> list[str]:
    """Return the objects of the stage."""
    return re.findall(r'<g class="ob .*?</g></g>', page, re.DOTALL)


def rectangle(shape: str, name: str) -> tuple[float, ...] | None:
    """Return x, y, width and height of a rectangle."""
    found = re.search(
        rf'<rect class="{name}" x="(.*?)" y="(.*?)" width="(.*?)" height="(.*?)"/>', shape
    )
    return tuple(map(float, found.groups())) if found else None


def expected(box: dict[str, float]) -> tuple[float, ...]:
    return (box["x1"], box["y1"], box["x2"] - box["x1"], box["y2"] - box["y1"])


async def test_objects_are_the_matches(service: Service, db: Database, detected: RunView) -> None:
    for row in rows_of(db, detected)[1:6]:
        page = await read(service, f"/runs/1/images/{row['image_index']}")
        assert f'viewBox="0 0 {row["width"]} {row["height"]}"' in page
        shapes = drawn(page)
        assert len(shapes) == len(row["matches"]) == page.count("<tr data-i=")
        for kind, name in (("TP", "tp"), ("FP", "fp"), ("FN", "fn")):
            matches = [one for one in row["matches"] if one["kind"] == kind]
            assert sum(f"ob {name}-ob" in shape for shape in shapes) == len(matches)
            found = {rectangle(shape, f"{name} pred") for shape in shapes} - {None}
            boxes = [row["predicted_boxes"][m["predicted_index"]] for m in matches if kind != "FN"]
            assert len(found) == len({expected(box) for box in boxes})
            for box in boxes:
                assert any(one == pytest.approx(expected(box), abs=0.11) for one in found if one)
        overlaps = [one["overlap"] for one in row["matches"] if one["overlap"] is not None]
        for overlap in overlaps:
            assert f'<td class="n">{overlap:.3f}</td>' in page
        below = len(row["predicted_boxes"]) - row["tp"] - row["fp"]
        if below > 1:
            assert f"{below} stored predictions below the operating point" in page
        assert f"<dd>{row['preprocessing_time_ms']:.2f} ms" in page


async def test_a_failed_image_says_why(service: Service) -> None:
    page = await read(service, "/runs/1/images/0")
    assert "<b>TRUNCATED, at the stage decode</b>" in page
    assert "<sn-overlay" not in page


async def test_a_classified_image(service: Service, db: Database, classified: RunView) -> None:
    for row in rows_of(db, classified)[:4]:
        page = await read(service, f"/runs/2/images/{row['image_index']}")
        assert ("Correct" if row["is_correct"] else "Wrong") in page
        for score in row["top5_predictions"]:
            assert f"{score['confidence']:.3f}</" in page
        assert f"ground truth <bdi>{row['true_label']}</bdi>" in page


@pytest.mark.parametrize(
    "query",
    [
        "", "?sort=-fp", "?match=FN&sort=-fn", "?class=circle&text=images",
        "?view=objects&match=FP&sort=-confidence", "?view=objects&true=circle&predicted=background",
    ],
)  # fmt: skip
async def test_next_leads_through_the_whole_list(service: Service, query: str) -> None:
    start = await read(service, f"/runs/1{query}")
    order = list(dict.fromkeys(tiles(start)))
    assert order
    path, seen = f"/runs/1/images/{order[0]}{query}", []
    while path:
        page = await read(service, path)
        number = re.search(r"/images/(\d+)", path)
        assert number is not None
        seen.append(int(number[1]))
        assert f">{len(seen)} of {len(order)}</span>" in page
        found = {text: href for href, text in links(page)}
        back = next((href for text, href in found.items() if text.startswith("1 detect")), "")
        assert back == f"/runs/1{query}#images"
        path = found.get("Next→", "")
    assert seen == order


async def test_an_image_outside_of_the_list_has_neighbours(service: Service) -> None:
    page = await read(service, "/runs/1/images/5?status=failed")
    assert ">6 of 14</span>" in page


@pytest.mark.parametrize("index", ["14", "-1", "x", "9" * 9, "9" * 40, "1.5"])
async def test_unknown_images(service: Service, index: str) -> None:
    assert (await service.client.get(f"/runs/1/images/{index}")).status_code == 404
    assert (await service.client.get(f"/runs/77/images/{index}")).status_code == 404


@pytest.fixture(scope="module")
def shaped(place: tuple[Path, Database]) -> Iterator[Database]:
    """Runs of a segmenter (1) and of a pose model (2)."""
    folder, _ = place
    database = f"sqlite:///{folder / 'shaped.db'}"
    for task in ("segment", "pose"):
        snellen.evaluate(
            {
                "model": {"checkpoint": str(FIXTURES / f"tiny-{task}.pt")},
                "dataset": {"path": str(folder / f"shapes/{task}/data.yaml"), "split": "test"},
                "metrics": {"bootstrap": 0},
                "run": {"engine": "inline"},
                "output": {"dir": str(folder / "shaped")},
                "database": database,
            }
        )
    db = Database.open(database)
    yield db
    db.close()


@pytest.fixture
async def shapes(shaped: Database, tmp_path: Path) -> AsyncIterator[Service]:
    async with served(shaped, tmp_path) as opened:
        yield opened


@pytest.mark.slow
async def test_masks_cover_their_pixels(shapes: Service, shaped: Database) -> None:
    row = next(row for row in rows_of(shaped, get_test_run(shaped, 1)) if row["tp"] > 1)
    page = await read(shapes, f"/runs/1/images/{row['image_index']}")
    found = set()
    for path in re.findall(r'<path class="mask strips tp pred" d="(.*?)"', page):
        pixels = np.zeros((row["height"], row["width"]), dtype=np.uint8)
        for x, y, w, h in re.findall(r"M(\d+) (\d+)h(\d+)v(\d+)h-\d+z", path):
            pixels[int(y) : int(y) + int(h), int(x) : int(x) + int(w)] = 1
        found.add(pixels.tobytes())
    size = [row["height"], row["width"]]
    places = [one["predicted_index"] for one in row["matches"] if one["kind"] == "TP"]
    masks = [row["predicted_masks"][place] for place in places]
    reference = {coco.decode({"size": size, "counts": one}).tobytes("C") for one in masks}
    assert found == reference


@pytest.mark.slow
async def test_keypoints_are_at_their_places(shapes: Service, shaped: Database) -> None:
    row = next(row for row in rows_of(shaped, get_test_run(shaped, 2)) if row["tp"])
    page = await read(shapes, f"/runs/2/images/{row['image_index']}")
    assert ">OKS</th>" in page
    match = next(one for one in row["matches"] if one["kind"] == "TP")
    points = row["predicted_keypoints"][match["predicted_index"]]
    shape = next(one for one in drawn(page) if "tp-ob" in one)
    joints = re.search(r'<path class="joint pred" d="(.*?)"', shape)
    assert joints is not None
    circles = re.findall(r"M([\d.-]+) ([\d.-]+)a([\d.]+)", joints[1])
    visible = [point for point in points if point["v"] >= 0.25]
    centres = [(float(x) + float(r), float(y)) for x, y, r in circles]
    assert centres == [pytest.approx((point["x"], point["y"]), abs=0.16) for point in visible]
