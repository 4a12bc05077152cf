"""Lists of objects: exactly those that a number counts, each with its crop and its boxes."""

from __future__ import annotations

import io
import re

import pytest
from PIL import Image

from snellen.analysis.error_analysis import ErrorAnalysis, InstanceQuery
from snellen.analysis.reader import open_results
from snellen.metrics.detection.tide import BUCKETS
from snellen.store.sql.database import Database
from snellen.store.views import RunView
from tests.serve.local_service import Service
from tests.serve.ui.run_page.reading import links, read, section, tiles, total

pytestmark = [pytest.mark.anyio, pytest.mark.slow]


async def test_counts_of_classes_lead_to_their_objects(service: Service, detected: RunView) -> None:
    found = links(section(await read(service, "/runs/1"), "classes"))
    rows = detected.per_class_metrics or {}
    for href, text in ((h, t) for h, t in found if "match=" in h):
        side = "predicted_class" if "match=FP" in href else "class"
        name = re.search(rf"[?&]{side}=([^&#]*)", href)
        assert name is not None
        expected = rows[name[1]]["fp" if "match=FP" in href else "fn"]
        assert int(text) == expected == total(await read(service, href))


async def test_cells_lead_to_exactly_their_instances(
    service: Service, db: Database, detected: RunView
) -> None:
    cells = links(section(await read(service, "/runs/1"), "confusion"))
    names = [*(detected.class_names or []), "background"]
    assert len(cells) == sum(bool(n) for row in detected.confusion_matrix for n in row)
    for href, _ in cells:
        asked = re.search(r"true=([^&#]*)&predicted=([^&#]*)", href)
        assert asked is not None
        true, predicted = names.index(asked[1]), names.index(asked[2])
        page = await read(service, href)
        assert total(page) == detected.confusion_matrix[true][predicted]
        query = InstanceQuery(true=asked[1], predicted=asked[2], limit=60)
        expected = ErrorAnalysis(db, detected).instances(query).instances
        assert tiles(page) == [one.image_index for one in expected]
        command = f"snellen errors 1 --true {asked[1]} --predicted {asked[2]} --limit 60"
        assert command in page


@pytest.mark.parametrize("bucket", BUCKETS)
async def test_buckets_lead_to_their_errors(
    service: Service, db: Database, detected: RunView, bucket: str
) -> None:
    query = InstanceQuery(bucket=bucket, sort="confidence", limit=60)
    expected = ErrorAnalysis(db, detected).instances(query)
    page = await read(service, f"/runs/1?view=objects&bucket={bucket}&sort=-confidence")
    assert (total(page), len(tiles(page))) == (expected.total, len(expected.instances))
    if expected.total:
        assert f"in {expected.images} images" in page
        assert tiles(page) == [one.image_index for one in expected.instances]


async def test_all_matches_are_listed(service: Service, db: Database, detected: RunView) -> None:
    rows = open_results(db, detected).lazy().collect().to_dicts()
    matches = [one for row in rows for one in row["matches"] or ()]
    assert total(await read(service, "/runs/1?view=objects")) == len(matches)
    for kind in ("TP", "FP", "FN"):
        page = await read(service, f"/runs/1?view=objects&match={kind}")
        assert total(page) == sum(one["kind"] == kind for one in matches)


async def test_conditions_and_orders_of_objects(
    service: Service, db: Database, detected: RunView
) -> None:
    rows = open_results(db, detected).lazy().collect().to_dicts()
    found = [
        (row["image_id"], row["predicted_boxes"][one["predicted_index"]]["confidence"])
        for row in rows
        for one in row["matches"] or ()
        if one["predicted_index"] is not None
    ]
    kept = [one for one in found if "0003" in one[0] and one[1] >= 0.5]
    query = "view=objects&text=0003&min_confidence=0.5"
    assert total(await read(service, f"/runs/1?{query}")) == len(kept)
    page = await read(service, "/runs/1?view=objects&sort=-confidence")
    shown = [float(value) for value in re.findall(r'faint cut">(0\.\d{3})', page)]
    expected = sorted((one[1] for one in found), reverse=True)
    assert shown == pytest.approx(expected[: len(shown)], abs=6e-4)
    slices = (detected.details or {})["slices"][0]["slices"]
    for name in slices:
        query = f"view=objects&slice_by=object_count&slice={name}&match=TP"
        inside = await read(service, f"/runs/1?slice_by=object_count&slice={name}")
        expected_tp = sum(rows[number]["tp"] or 0 for number in tiles(inside))
        assert total(await read(service, f"/runs/1?{query}")) == expected_tp


async def test_crops_show_the_place_of_the_boxes(service: Service) -> None:
    page = await read(service, "/runs/1?view=objects")
    size = r'<img src="([^"]*crop[^"]*)" width="(\d+)" height="(\d+)"'
    crops = re.findall(size + r'.*?viewBox="\S+ \S+ (\d+) (\d+)"', page)
    assert crops
    for source, width, height, *view in crops[:8]:
        response = await service.client.get(source.replace("&amp;", "&"))
        assert response.status_code == 200
        assert Image.open(io.BytesIO(response.content)).size == (int(width), int(height))
        assert int(width) / int(height) == pytest.approx(int(view[0]) / int(view[1]), rel=0.05)


async def test_a_classifier_has_no_objects(service: Service) -> None:
    page = await read(service, "/runs/2?view=objects&true=circle&predicted=square")
    assert 'value="objects"' not in page
    assert len(tiles(page)) == 14
