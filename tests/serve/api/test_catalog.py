"""Datasets, tags, reviews, comparisons, thresholds and exports over HTTP."""

from __future__ import annotations

import asyncio
import io
import json
import shutil
from collections.abc import AsyncIterator
from typing import Any

import polars as pl
import pytest

from snellen.analysis.comparison.compare import compare_runs
from snellen.analysis.reader import open_results
from snellen.store.datasets import add_dataset
from snellen.store.runs import get_test_run
from tests.pipelines.making import write_image
from tests.serve.local_service import Service, served
from tests.serve.site import Site

pytestmark = pytest.mark.anyio
API = "/inference"


@pytest.fixture
async def service(site: Site) -> AsyncIterator[Service]:
    async with served(site.db, site.output, **site.settings) as opened:
        yield opened


async def ok(response: Any, status: int = 200) -> Any:
    assert response.status_code == status, response.text
    return response.json() if response.content else None


async def test_a_dataset_is_inspected_before_anything_is_run(service: Service, site: Site) -> None:
    (site.data / "0" / "notes.txt").write_text("x")
    url = f"{API}/datasets/inspect"
    found = await ok(await service.client.get(url, params={"path": "data"}))
    assert (found["format"], found["images"], found["complete"]) == ("imagefolder", 12, True)
    assert (found["classes"], found["class_counts"]) == (
        ["0", "1", "2"], {"0": 4, "1": 4, "2": 4})  # fmt: skip
    assert found["report"]["passed_over"]["not_an_image"]["count"] == 1
    assert found["class_map"] is None
    asked: dict[str, Any] = {"path": "data", "training_job_id": site.job.id}
    fits = (await ok(await service.client.get(url, params=asked)))["class_map"]
    assert (fits["mode"], fits["ids"], fits["problem"]) == ("name", {"0": 0, "1": 1, "2": 2}, None)
    shutil.copytree(site.data / "0", site.data / "zebra")
    wrong = (await ok(await service.client.get(url, params=asked)))["class_map"]
    assert wrong["code"] == "CLASS_MAP_MISMATCH"
    assert "zebra" in wrong["problem"]
    for path in ("../models", "/etc"):
        outside = await service.client.get(url, params={"path": path})
        assert (outside.status_code, outside.json()["code"]) == (403, "PATH_FORBIDDEN")
    flat = site.folder / "roots" / "flat"
    write_image(flat / "a.png")
    images = await ok(await service.client.get(url, params={"path": "flat"}))
    assert (images["classes"], images["images"]) == (None, 1)
    assert str(site.folder) not in json.dumps([found, fits, wrong, images])


async def test_datasets_are_registered_inside_the_roots_only(service: Service, site: Site) -> None:
    add_dataset(site.db, "elsewhere", {"path": "/srv/secret/data"})
    body = {"name": "greys", "dataset_path": "data", "dataset": {"format": "imagefolder"}}
    made = await ok(await service.client.post(f"{API}/datasets", json=body), 201)
    assert made["config"] == {"path": "data", "format": "imagefolder"}
    again = await service.client.post(f"{API}/datasets", json=body)
    assert (again.status_code, again.json()["code"]) == (409, "DATASET_NAME_TAKEN")
    outside = {**body, "name": "x", "dataset_path": "/etc"}
    rejected = await service.client.post(f"{API}/datasets", json=outside)
    assert (rejected.status_code, rejected.json()["code"]) == (403, "PATH_FORBIDDEN")
    listed = await ok(await service.client.get(f"{API}/datasets"))
    assert [(one["name"], one["config"]["path"]) for one in listed["datasets"]] == [
        ("elsewhere", "data"), ("greys", "data")]  # fmt: skip
    await ok(await service.client.delete(f"{API}/datasets/greys"), 204)
    gone = await service.client.delete(f"{API}/datasets/greys")
    assert (gone.status_code, gone.json()["code"]) == (404, "DATASET_NOT_REGISTERED")


async def test_tags_are_set_moved_and_removed(service: Service, site: Site) -> None:
    first, second = site.run_here().id, site.run_here().id
    for run_id in (first, second):
        await ok(
            await service.client.post(f"{API}/tags", json={"name": "baseline", "run_id": run_id})
        )
    listed = await ok(await service.client.get(f"{API}/tags"))
    assert listed == {"total_count": 1, "tags": [{"name": "baseline", "run_id": second}]}
    wrong = await service.client.post(f"{API}/tags", json={"name": "12", "run_id": first})
    assert (wrong.status_code, wrong.json()["code"]) == (422, "TAG_NAME")
    await ok(await service.client.delete(f"{API}/tags/baseline"), 204)
    gone = await service.client.delete(f"{API}/tags/baseline")
    assert (gone.status_code, gone.json()["code"]) == (404, "TAG_NOT_FOUND")


async def test_reviews_outlive_their_run(service: Service, site: Site) -> None:
    first = site.run_here().id
    body = {"run_id": first, "image_index": 3, "status": "wrong_label", "note": "<b>is a 2</b>"}
    made = await ok(await service.client.post(f"{API}/reviews", json=body), 201)
    assert (made["image_id"], made["kind"], made["note"]) == ("0/03.png", "image", "<b>is a 2</b>")
    box = {**body, "kind": "box", "box": [1, 2, 3, 4]}
    await ok(await service.client.post(f"{API}/reviews", json=box), 201)
    for wrong in ({**body, "kind": "object"}, {**body, "true_index": 0}, {**box, "box": [1, 2]}):
        response = await service.client.post(f"{API}/reviews", json=wrong)
        assert (response.status_code, response.json()["code"]) == (422, "VALIDATION")
    beyond = await service.client.post(f"{API}/reviews", json={**body, "image_index": 99})
    assert (beyond.status_code, beyond.json()["code"]) == (404, "IMAGE_NOT_FOUND")
    await ok(await service.client.delete(f"{API}/test-runs/{first}"), 204)
    second = site.run_here().id  # another run on the same images finds them
    listed = await ok(await service.client.get(f"{API}/reviews", params={"run_id": second}))
    assert [one["kind"] for one in listed["reviews"]] == ["box", "image"]
    url = f"{API}/reviews/{made['id']}"
    changed = await ok(await service.client.put(url, json={"status": "fixed"}))
    assert (changed["status"], changed["note"]) == ("fixed", "<b>is a 2</b>")
    emptied = await ok(await service.client.put(url, json={"note": None}))
    assert (emptied["status"], emptied["note"]) == ("fixed", None)
    assert (await service.client.put(url, json={"status": None})).status_code == 422
    fixed = await ok(await service.client.get(f"{API}/reviews", params={"status": "fixed"}))
    assert (fixed["total_count"], fixed["reviews"][0]["id"]) == (1, made["id"])
    await ok(await service.client.delete(url), 204)
    assert (await service.client.delete(url)).status_code == 404


@pytest.mark.slow
async def test_comparisons_thresholds_and_exports_give_what_the_commands_give(
    service: Service, site: Site
) -> None:
    names = ["/m/01g317", "/m/0bt9lr", "/m/04_sv"]  # of Open Images: no paths of the server
    for name, renamed in zip("012", names, strict=True):
        (site.data / name).rename(site.data / renamed.replace("/", "_"))
    mapped = {name.replace("/", "_"): name for name in names}
    model = {"job": site.job.id, "class_names": names, "class_map": mapped}
    a = site.run_here(model=model)
    b = site.run_here(model=model, images={"max_pixels": 1000})
    body: dict[str, Any] = {"runs": [a.id, b.id], "slices": ["image_size"]}
    made = await ok(await service.client.post(f"{API}/comparisons", json=body), 202)
    assert (made["status"], made["result"]) == ("pending", None)
    formats = ("csv", "parquet", "coco", "zip")
    exports = {}
    for name in formats:
        url = f"{API}/test-runs/{a.id}/exports"
        response = await service.client.post(url, json={"format": name, "correct": False})
        exports[name] = (await ok(response, 202))["id"]
    early = await service.client.get(f"{API}/exports/{exports['csv']}/file")
    assert (early.status_code, early.json()["code"]) == (409, "EXPORT_NOT_COMPLETED")
    await asyncio.to_thread(site.run_jobs)
    done = await ok(await service.client.get(f"{API}/comparisons/{made['id']}"))
    assert (done["status"], done["runs"]) == ("completed", [a.id, b.id])
    runs = [get_test_run(site.db, run.id) for run in (a, b)]
    expected = compare_runs(site.db, runs)
    assert done["result"]["primary"] == json.loads(json.dumps(expected["primary"]))
    assert done["result"]["verdict"] == expected["verdict"]
    assert done["result"]["classes"] == json.loads(json.dumps(expected["classes"]))
    assert {row["class"] for row in done["result"]["classes"]} == set(names)
    rows = open_results(site.db, a).frame().filter(~pl.col("is_correct"))
    csv = await service.client.get(f"{API}/exports/{exports['csv']}/file")
    assert csv.headers["content-disposition"] == f'attachment; filename="test-run-{a.id}-csv.csv"'
    assert pl.read_csv(io.BytesIO(csv.content))["image_id"].to_list() == rows["image_id"].to_list()
    parquet = await service.client.get(f"{API}/exports/{exports['parquet']}/file")
    table = pl.read_parquet(io.BytesIO(parquet.content))
    assert table["image_path"].to_list() == rows["image_id"].to_list()
    for data in (csv.content, parquet.content):
        assert str(site.folder).encode() not in data
    failed = await ok(await service.client.get(f"{API}/exports/{exports['coco']}"))
    assert (failed["status"], failed["error_code"]) == ("failed", "EXPORT_TASK")
    listed = await ok(await service.client.get(f"{API}/test-runs/{a.id}/exports"))
    assert listed["total_count"] == 4
    await ok(await service.client.delete(f"{API}/exports/{exports['csv']}"), 204)
    assert not list((site.output / "exports" / str(exports["csv"])).glob("*"))
    await ok(await service.client.delete(f"{API}/test-runs/{a.id}"), 204)
    assert (await service.client.get(f"{API}/exports/{exports['zip']}")).status_code == 404
    unfinished = await service.client.post(f"{API}/comparisons", json={"runs": [b.id, 99]})
    assert (unfinished.status_code, unfinished.json()["code"]) == (404, "RUN_NOT_FOUND")


async def test_thresholds_are_those_of_the_run(service: Service, site: Site) -> None:
    run = site.run_here()
    url = f"{API}/test-runs/{run.id}/thresholds"
    found = await ok(await service.client.get(f"{url}?metric=accuracy&least=0"))
    assert found["chosen"]["rule"] == "accuracy >= 0"
    assert found["task_type"] == "image_classification"
    everything = found["thresholds"][0]
    assert everything["confidence"] <= 0.05
    assert everything["accuracy"] == pytest.approx((run.metrics or {})["accuracy"])
    wrong = await service.client.get(f"{url}?metric=f1")
    assert (wrong.status_code, wrong.json()["code"]) == (422, "THRESHOLD_RULE")
