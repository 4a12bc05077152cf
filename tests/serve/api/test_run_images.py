"""Images of runs over HTTP: pages, details, pictures; equal to what the files hold."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

import snellen
from examples.shapes.make_dataset import make
from snellen.analysis.reader import open_results
from snellen.pipelines.data.manifest_reader import MANIFEST_NAME
from snellen.pipelines.runs.finish import results_folder
from snellen.store.parquet.results import SORTABLE, Results
from snellen.store.runs import get_test_run
from snellen.store.sql.database import Database
from snellen.store.views import RunView
from tests.serve.local_service import FIXTURES, Service, served

pytestmark = pytest.mark.anyio
RUN = "/inference/test-runs/1"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Database]]:
    """A detector's run (1), a classifier's run (2) and an inference job on drawn shapes."""
    folder = tmp_path_factory.mktemp("images")
    make(folder / "shapes", counts={"test": 12, "val": 1}, seed=5)
    broken = folder / "shapes" / "detect" / "images" / "test"
    first = sorted(broken.iterdir())[0]
    first.write_bytes(first.read_bytes()[:200])
    common: dict[str, Any] = {
        "run": {"engine": "inline", "unit_rows": 5},
        "output": {"dir": str(folder / "out")},
        "database": f"sqlite:///{folder / 'runs.db'}",
    }
    metrics = {"bootstrap": 0}
    for task, path in (("detect", "detect/data.yaml"), ("classify", "classify")):
        dataset = {"path": str(folder / "shapes" / path), "split": "test"}
        model = {"checkpoint": str(FIXTURES / f"tiny-{task}.pt")}
        snellen.evaluate({"model": model, "dataset": dataset, "metrics": metrics, **common})
    snellen.predict(
        {
            "model": {"checkpoint": str(FIXTURES / "tiny-detect.pt")},
            "dataset": {"path": str(folder / "shapes" / "classify" / "test")},
            **common,
        }
    )
    db = Database.open(common["database"])
    yield folder, db
    db.close()


@pytest.fixture
async def service(place: tuple[Path, Database]) -> AsyncIterator[Service]:
    folder, db = place
    async with served(db, folder / "service", roots=[str(folder / "shapes")]) as opened:
        yield opened


@pytest.fixture
def run(place: tuple[Path, Database]) -> RunView:
    return get_test_run(place[1], 1)


@pytest.fixture
def results(place: tuple[Path, Database], run: RunView) -> Results:
    return open_results(place[1], run)


async def listed(service: Service, path: str = RUN, **query: Any) -> Any:
    response = await service.client.get(f"{path}/images", params=query)
    assert response.status_code == 200, response.text
    return response.json()


async def test_a_page_equals_the_rows_of_the_files(
    service: Service, results: Results, run: RunView
) -> None:
    page = await listed(service, sort="fp", descending=True, skip=2, limit=5, objects=True)
    expected = results.page(results.lazy(), sort="fp", descending=True, offset=2, limit=5)
    assert page["class_names"] == run.class_names
    counts = (page["total_count"], page["correct_count"], page["incorrect_count"])
    assert counts == (expected.total, expected.correct, expected.incorrect)
    assert [one["image_index"] for one in page["images"]] == [
        row["image_index"] for row in expected.rows
    ]
    for one, row in zip(page["images"], expected.rows, strict=True):
        assert (one["image_path"], one["status"]) == (row["image_id"], row["status"])
        assert [one[key] for key in ("tp", "fp", "fn")] == [row[key] for key in ("tp", "fp", "fn")]
        boxes = one["predicted_boxes"] or []
        assert [box["xyxy"] for box in boxes] == [
            [box[side] for side in ("x1", "y1", "x2", "y2")] for box in row["predicted_boxes"] or []
        ]
        for box in boxes:
            assert box["label"] == (run.class_names or [])[box["class_id"]]
            x1, y1, x2, y2 = box["xyxy"]
            assert box["bbox"] == pytest.approx([(x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1])
        assert one["matches"] == row["matches"]
    light = await listed(service, sort="fp", descending=True, skip=2, limit=5)
    for one, whole in zip(light["images"], page["images"], strict=True):
        assert one["predicted_boxes"] is None
        assert {key: one[key] for key in ("id", "image_path", "tp", "iou", "is_correct")} == {
            key: whole[key] for key in ("id", "image_path", "tp", "iou", "is_correct")
        }


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("sort", SORTABLE)
async def test_the_order_is_that_of_the_result_files(
    sort: str, descending: bool, service: Service, results: Results
) -> None:
    page = await listed(service, sort=sort, descending=descending)
    expected = results.page(results.lazy(), sort=sort, descending=descending)
    assert [one["image_index"] for one in page["images"]] == [
        row["image_index"] for row in expected.rows
    ]


@pytest.mark.parametrize(
    ("query", "condition"),
    [
        ({"correct": True}, lambda row: row["is_correct"] is True),
        ({"correct": False}, lambda row: row["is_correct"] is False),
        ({"status": "failed"}, lambda row: row["status"] == "failed"),
        ({"error_code": "TRUNCATED"}, lambda row: row["error_code"] == "TRUNCATED"),
        ({"match": "FP"}, lambda row: (row["fp"] or 0) > 0),
        ({"match": "FN"}, lambda row: (row["fn"] or 0) > 0),
        (
            {"match": "IGNORED"},
            lambda row: any(m["kind"] == "IGNORED" for m in row["matches"] or ()),
        ),
        (
            {"class": "square"},
            lambda row: any(box["class_id"] == 1 for box in row["true_boxes"] or ()),
        ),
        (
            {"predicted_class": "2", "min_confidence": 0.5},
            lambda row: (
                bool(row["predicted_boxes"])
                and row["predicted_boxes"][0]["confidence"] >= 0.5
                and any(
                    box["class_id"] == 2 and box["confidence"] >= 0.25
                    for box in row["predicted_boxes"]
                )
            ),
        ),
        ({"text": "0003"}, lambda row: "0003" in row["image_id"]),
        (
            {"slice_by": "object_count", "slice": "1"},
            lambda row: len(row["true_boxes"] or ()) == 1,
        ),
        ({"slice_by": "width", "slice": "160"}, lambda row: row["width"] == 160),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
async def test_filters_select_what_they_say(
    query: dict[str, Any], condition: Any, service: Service, results: Results
) -> None:
    rows = results.frame().to_dicts()
    page = await listed(service, **query)
    expected = [row["image_index"] for row in rows if condition(row)]
    assert [one["image_index"] for one in page["images"]] == expected
    assert page["total_count"] == len(expected)
    correct = [row["is_correct"] for row in rows if condition(row)]
    assert page["correct_count"] == correct.count(True)
    assert page["incorrect_count"] == correct.count(False)


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ({"class": "elephant"}, "CLASS_UNKNOWN"),
        ({"sort": "image"}, "VALIDATION"),
        ({"slice_by": "width"}, "VALIDATION"),
        ({"slice_by": "colour", "slice": "red"}, "SLICE_COLUMN"),
        ({"limit": 101, "objects": True}, "VALIDATION"),
        ({"min_confidence": "nan"}, "VALIDATION"),
    ],
)
async def test_wrong_filters_are_rejected(query: Any, code: str, service: Service) -> None:
    response = await service.client.get(f"{RUN}/images", params=query)
    assert (response.status_code, response.json()["code"]) == (422, code)


async def test_ids_are_those_of_the_rows_in_sql(service: Service) -> None:
    page = await listed(service, "/inference/test-runs/2", limit=3)
    shown = await service.client.get("/inference/test-runs/2/images/1")
    assert shown.json()["id"] == page["images"][1]["id"]
    assert page["images"][0]["id"] > 12  # after those of the first run
    assert shown.json()["top5_predictions"][0]["label"] == shown.json()["predicted_label"]
    assert page["images"][1]["top5_predictions"] is None
    missing = await service.client.get("/inference/test-runs/2/images/999999")
    assert (missing.status_code, missing.json()["code"]) == (404, "IMAGE_NOT_FOUND")


def opened(response: httpx.Response) -> Image.Image:
    assert response.status_code == 200, response.text
    return Image.open(io.BytesIO(response.content))


async def test_a_missing_manifest_is_said(service: Service, place: tuple[Path, Database]) -> None:
    manifest = results_folder(get_test_run(place[1], 1)) / MANIFEST_NAME
    manifest.rename(manifest.with_suffix(".hidden"))
    try:
        found = await service.client.get(f"{RUN}/images/2/thumbnail?size=64")
    finally:
        manifest.with_suffix(".hidden").rename(manifest)
    assert (found.status_code, found.json()["code"]) == (409, "RESULTS_MISSING")
    assert str(manifest) not in found.text


async def test_pictures_are_made_once_and_kept_by_clients(
    service: Service, place: tuple[Path, Database], results: Results
) -> None:
    row = results.frame().to_dicts()[3]
    get = service.client.get
    whole = await get(f"{RUN}/images/3/picture")
    assert whole.headers["content-type"] == "image/jpeg"
    assert whole.headers["x-content-type-options"] == "nosniff"
    assert opened(whole).size == (row["width"], row["height"])
    source = Image.open(place[0] / "shapes" / "detect" / "images" / "test" / row["image_name"])
    before = np.asarray(source.convert("RGB"), float)
    assert np.abs(np.asarray(opened(whole), float) - before).mean() < 6
    small = await get(f"{RUN}/images/3/thumbnail?size=64&revision=0")
    assert max(opened(small).size) == 64
    assert small.headers["cache-control"] == "private, max-age=31536000, immutable"
    assert whole.headers["cache-control"] == "private, no-cache"
    tag = {"If-None-Match": small.headers["etag"]}
    again = await get(f"{RUN}/images/3/thumbnail?size=64&revision=0", headers=tag)
    assert (again.status_code, again.content) == (304, b"")
    box = row["true_boxes"][0]
    crop = await get(f"{RUN}/images/3/crop?object=0&side=true&size=512")
    width, height = opened(crop).size
    assert width >= box["x2"] - box["x1"]
    assert width < row["width"] or height < row["height"]
    overlay = await get(f"{RUN}/images/3/overlay")
    assert opened(overlay).size[0] >= 320
    kept = list((place[0] / "service" / ".pictures").glob("*/*"))
    assert len(kept) >= 4
    beyond = await get(f"{RUN}/images/3/crop?object=999")
    assert (beyond.status_code, beyond.json()["code"]) == (404, "OBJECT_NOT_FOUND")
    truncated = await get(f"{RUN}/images/0/picture")
    assert (truncated.status_code, truncated.json()["code"]) == (422, "IMAGE_TRUNCATED")


async def test_a_changed_or_missing_image_is_not_shown(
    service: Service, place: tuple[Path, Database], results: Results
) -> None:
    row = results.frame().to_dicts()[5]
    path = place[0] / "shapes" / "detect" / "images" / "test" / row["image_name"]
    data = path.read_bytes()
    try:
        Image.new("RGB", (160, 160)).save(path)
        changed = await service.client.get(f"{RUN}/images/5/picture")
        assert (changed.status_code, changed.json()["code"]) == (409, "IMAGE_CHANGED")
        path.unlink()
        gone = await service.client.get(f"{RUN}/images/5/picture")
        assert (gone.status_code, gone.json()["code"]) == (404, "IMAGE_NOT_FOUND")
        assert str(place[0]) not in gone.text
    finally:
        path.write_bytes(data)


async def test_an_image_outside_of_dataset_and_roots_is_not_shown(
    service: Service, place: tuple[Path, Database]
) -> None:
    folder, db = place
    secret = folder / "secret.png"
    Image.new("RGB", (40, 40)).save(secret)
    manifest = folder / "listed" / "manifest.csv"
    manifest.parent.mkdir()
    manifest.write_text(f"path,label\n{secret},circle\n")
    run = snellen.evaluate(
        {
            "model": {"checkpoint": str(FIXTURES / "tiny-classify.pt"), "class_map": "subset"},
            "dataset": {"path": str(manifest)},
            "run": {"engine": "inline"},
            "output": {"dir": str(folder / "out")},
            "database": db.url,
        }
    )
    shown = await service.client.get(f"/inference/test-runs/{run.id}/images/0/picture")
    assert (shown.status_code, shown.json()["code"]) == (403, "PATH_FORBIDDEN")
