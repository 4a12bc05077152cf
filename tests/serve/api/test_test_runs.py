"""Test runs over HTTP: checked at submission, executed by a worker, the same as by the command."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from sqlalchemy import update

from snellen.analysis.reader import open_results
from snellen.serve.api.redaction import without_paths
from snellen.store.datasets import add_dataset
from snellen.store.leases import acquire, release
from snellen.store.runs import get_test_run, list_test_runs
from snellen.store.service.job_queue import queued_jobs
from snellen.store.sql.models import TestRun
from snellen.store.tags import set_tag
from snellen.store.views import RunView
from tests.pipelines.making import TIMES, write_image
from tests.serve.local_service import Service, served
from tests.serve.site import Site

pytestmark = pytest.mark.anyio
RUNS = "/inference/test-runs"


def rows(site: Site, run: RunView) -> list[dict[str, Any]]:
    frame = open_results(site.db, run).frame()
    return [{k: v for k, v in row.items() if k not in TIMES} for row in frame.to_dicts()]


async def submit(service: Service, site: Site, **fields: Any) -> Any:
    response = await service.client.post(RUNS, json=site.request(**fields))
    assert response.status_code == 202, response.text
    return response.json()


async def executed(service: Service, site: Site, **fields: Any) -> int:
    run_id: int = (await submit(service, site, **fields))["id"]
    await asyncio.to_thread(site.run_jobs)
    return run_id


@pytest.mark.slow
async def test_a_run_over_http_equals_that_of_the_command_line(site: Site) -> None:
    here = site.run_here()
    async with served(site.db, site.output, **site.settings) as service:
        made = await submit(service, site, name="over-http", class_map="auto")
        assert (made["status"], made["queued"], made["dataset_path"]) == ("pending", True, "data")
        assert made["checkpoint_path"] == "pixel.bin"
        await asyncio.to_thread(site.run_jobs)
        shown = (await service.client.get(f"{RUNS}/{made['id']}")).json()
        run = get_test_run(site.db, made["id"])
        assert (shown["status"], shown["queued"], shown["name"]) == (
            "completed",
            False,
            "over-http",
        )
        assert shown["metrics"] == run.metrics == here.metrics
        assert shown["confusion_matrix"] == here.confusion_matrix
        assert shown["class_names"] == ["0", "1", "2"]
        assert rows(site, run) == rows(site, here)
        listed = (await service.client.get(RUNS)).json()
        assert (listed["total_count"], [one["id"] for one in listed["runs"]]) == (2, [2, 1])
        assert listed["runs"][0]["confusion_matrix"] is None
        of_job = await service.client.get(f"/inference/jobs/{site.job.id}/test-runs?limit=1")
        assert of_job.json()["training_job_id"] == site.job.id
        assert (of_job.json()["total_count"], len(of_job.json()["runs"])) == (2, 1)
        events = (await service.client.get(f"{RUNS}/{made['id']}/events")).text
        name, data = events.strip().split("\n")
        assert name == "event: end"
        progress = json.loads(data.removeprefix("data: "))
        assert (progress["done_images"], progress["total_images"]) == (12, 12)
        assert progress["metric_name"] == "accuracy"
        assert progress["metric_value"] == pytest.approx((here.metrics or {})["accuracy"])
        for text in (json.dumps(shown), json.dumps(listed), events):
            assert str(site.folder) not in text


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"training_job_id": 99}, 404, "JOB_NOT_FOUND"),
        ({"checkpoint": "7"}, 404, "CHECKPOINT_NOT_FOUND"),
        ({"checkpoint": "../x.bin"}, 403, "PATH_FORBIDDEN"),
        ({"checkpoint": "newest"}, 422, "VALIDATION"),
        ({"dataset_path": "/etc"}, 403, "PATH_FORBIDDEN"),
        ({"dataset_path": "../models"}, 403, "PATH_FORBIDDEN"),
        ({"dataset_path": "s3://bucket/data"}, 403, "REMOTE_REFUSED"),
        ({"dataset_path": "data\0"}, 422, "VALIDATION"),
        ({"dataset_path": "nothing"}, 404, "DATASET_NOT_FOUND"),
        ({"dataset_path": "empty"}, 422, "DATASET_FORMAT"),
        ({"dataset_split": "train"}, 422, "DATASET_SPLIT"),
        ({"dataset": {"formt": "coco"}}, 422, "CONFIG_INVALID"),
        ({"dataset": {"format": "os:path"}}, 403, "SETTING_FORBIDDEN"),
        ({"dataset": {"follow_links": True}}, 403, "SETTING_FORBIDDEN"),
        ({"dataset": {"annotations": "/etc/passwd"}}, 403, "PATH_FORBIDDEN"),
        ({"model": {"adapter": "os:path"}}, 403, "SETTING_FORBIDDEN"),
        ({"model": {"class_names": "/etc/passwd"}}, 403, "PATH_FORBIDDEN"),
        ({"metrics": {"extra": ["os:getcwd"]}}, 403, "SETTING_FORBIDDEN"),
        ({"metrics": {"classes": ["nobody"]}}, 422, "CLASS_UNKNOWN"),
        ({"class_map": {"zebra": "0"}}, 422, "CLASS_MAP_UNKNOWN"),
        ({"model": {"class_names": ["a", "b", "c"]}}, 409, "CLASS_MAP_MISMATCH"),
        ({"colour": "red"}, 422, "VALIDATION"),
        ({"run": {"engine": "quantum"}}, 422, "CONFIG_INVALID"),
    ],
    ids=lambda value: str(value)[:40] if isinstance(value, dict) else "",
)
async def test_what_cannot_be_run_is_rejected_at_submission(
    changes: dict[str, Any], status: int, code: str, site: Site
) -> None:
    (site.folder / "roots" / "empty").mkdir()
    async with served(site.db, site.output, **site.settings) as service:
        response = await service.client.post(RUNS, json=site.request(**changes))
    assert (response.status_code, response.json()["code"]) == (status, code), response.text
    assert response.headers["content-type"] == "application/problem+json"
    assert str(site.folder) not in response.text
    assert list_test_runs(site.db) == []
    assert queued_jobs(site.db, "test_run") == set()


async def test_a_run_whose_library_or_checkpoint_has_changed_is_not_resumed(site: Site) -> None:
    run = site.run_here(metrics={"bootstrap": 0})
    with site.db.session() as session:
        session.execute(update(TestRun).values(status="interrupted"))
    async with served(site.db, site.output, **site.settings) as service:
        url = f"{RUNS}/{run.id}/resume"
        assert (await service.client.post(url)).status_code == 202
        before = {**(run.fingerprint or {}), "versions": {"pixel": "0"}, "checkpoint_sha256": "a"}
        with site.db.session() as session:
            session.execute(update(TestRun).values(fingerprint=before))
        response = await service.client.post(url)
        assert (response.status_code, response.json()["code"]) == (409, "RESUME_CHANGED")
        for changed in ("version of pixel: '0' -> '1'", "sha256 a... -> "):
            assert changed in response.json()["detail"]
        (site.folder / "models" / "pixel.bin").unlink()
        assert (await service.client.post(url)).status_code == 404
        assert str(site.folder) not in response.text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ('{"name": "a", "name": "b"}', "Duplicate key 'name'"),
        ('{"run": {"batch_size": 1, "batch_size": 2}}', "Duplicate key 'batch_size'"),
        ('{"model": {"min_confidence": NaN}}', "NaN is not JSON"),
        ('{"training_job_id": Infinity}', "Infinity is not JSON"),
        ('{"name": "a"', "JSON decode error"),
    ],
    ids=["key", "nested key", "NaN", "Infinity", "malformed"],
)
async def test_ambiguous_bodies_are_rejected(text: str, shown: str, site: Site) -> None:
    async with served(site.db, site.output) as service:
        headers = {"Content-Type": "application/json"}
        response = await service.client.post(RUNS, content=text, headers=headers)
    assert response.status_code == 422, response.text
    assert shown in response.json()["detail"]


async def test_a_dataset_that_names_a_folder_outside_of_the_roots_is_rejected(site: Site) -> None:
    secret = site.folder / "secret"
    write_image(secret / "images" / "a.png")
    (secret / "labels").mkdir()
    (secret / "labels" / "a.txt").write_text("0 0.5 0.5 0.2 0.2\n")
    yaml = site.folder / "roots" / "data.yaml"
    yaml.write_text(f"path: {secret}\ntest: images\nval: images\nnames: ['0', '1', '2']\n")
    link = site.folder / "roots" / "link"
    link.symlink_to(secret)
    async with served(site.db, site.output, **site.settings) as service:
        for path in ("data.yaml", "link"):
            response = await service.client.post(RUNS, json=site.request(dataset_path=path))
            assert (response.status_code, response.json()["code"]) == (403, "PATH_FORBIDDEN"), path


async def test_a_run_is_cancelled_resumed_and_deleted(site: Site) -> None:
    async with served(site.db, site.output, **site.settings) as service:
        post, delete = service.client.post, service.client.delete
        run_id = (await submit(service, site))["id"]
        cancelled = await post(f"{RUNS}/{run_id}/cancel")
        assert (cancelled.status_code, cancelled.json()["status"]) == (202, "cancelled")
        resumed = await post(f"{RUNS}/{run_id}/resume")
        assert (resumed.status_code, resumed.json()["status"]) == (202, "pending")
        assert resumed.json()["queued"]
        lease = acquire(site.db, "test_run", run_id)
        for response in (await post(f"{RUNS}/{run_id}/resume"), await delete(f"{RUNS}/{run_id}")):
            assert (response.status_code, response.json()["code"]) == (409, "RUN_BUSY")
        asked = await post(f"{RUNS}/{run_id}/cancel")
        assert (asked.json()["status"], asked.json()["cancel_requested"]) == ("running", True)
        release(site.db, lease, status="completed")
        again = await post(f"{RUNS}/{run_id}/resume")
        assert (again.status_code, again.json()["code"]) == (409, "RUN_COMPLETED")
        unknown = await post(f"{RUNS}/{run_id}/resume", json={"retry_failed": ["NO_SUCH"]})
        assert (unknown.status_code, unknown.json()["code"]) == (422, "ERROR_CODE")
        retried = await post(f"{RUNS}/{run_id}/resume", json={"retry_failed": True})
        assert (retried.json()["status"], retried.json()["queued"]) == ("completed", True)
        set_tag(site.db, "test_run", run_id, "baseline")
        assert (await service.client.get(f"{RUNS}/{run_id}")).json()["tags"] == ["baseline"]
        kept = await delete(f"{RUNS}/{run_id}")
        assert (kept.status_code, kept.json()["code"]) == (409, "RUN_IS_TAGGED")
        gone = await delete(f"{RUNS}/{run_id}?cascade=true")
        assert (gone.status_code, gone.content) == (204, b"")
        for method in ("get", "delete"):
            missing = await getattr(service.client, method)(f"{RUNS}/{run_id}")
            assert (missing.status_code, missing.json()["code"]) == (404, "RUN_NOT_FOUND")
    assert queued_jobs(site.db, "test_run") == set()


async def test_without_roots_only_registered_datasets_can_be_named(site: Site) -> None:
    add_dataset(site.db, "greys", {"path": str(site.data), "format": "imagefolder"})
    async with served(site.db, site.output) as service:
        rejected = await service.client.post(RUNS, json=site.request())
        assert (rejected.status_code, rejected.json()["code"]) == (403, "PATH_FORBIDDEN")
        made = await submit(service, site, dataset_path="greys")
    config = get_test_run(site.db, made["id"]).config or {}
    assert config["dataset"]["path"] == str(site.data)
    assert config["dataset"]["format"] == "imagefolder"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("dataset.path: '/srv/val set' has no labels", "dataset.path: 'val set' has no labels"),
        ("see /srv/a/b.txt, /srv/c.", "see b.txt, c."),
        ("in sqlite:////srv/x/runs.db", "in sqlite:runs.db"),
        ("at postgresql://me@host/name", "at postgresql:name"),
        ("1/2 of http://host/x or s3://b/k", "1/2 of http://host/x or s3://b/k"),
        ("key=/home/me/x", "key=x"),
    ],
)
def test_messages_lose_the_paths_of_the_server(text: str, shown: str) -> None:
    assert without_paths(text) == shown
