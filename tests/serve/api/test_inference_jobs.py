"""Inference jobs over HTTP: batches of uploads, ZIP archives, whole folders, and their results."""

from __future__ import annotations

import asyncio
import io
import json
import os
import time
import zipfile
from pathlib import Path
from typing import Any

import pytest

from snellen.analysis.reader import open_results
from snellen.pipelines.runs.runner import InferenceRunner
from snellen.serve.api.uploads.filenames import display_name
from snellen.store.kinds import INFERENCE_JOB
from snellen.store.runs import get_inference_job, list_inference_jobs
from snellen.store.service.job_queue import queued_jobs
from tests.pipelines.making import write_image
from tests.serve.conftest import picture
from tests.serve.local_service import Service, fixture_job, served
from tests.serve.site import Site

pytestmark = pytest.mark.anyio
JOBS, BATCH = "/inference/inference-jobs", "/inference/batch"


def images(site: Site) -> list[tuple[str, bytes]]:
    return [(path.name, path.read_bytes()) for path in sorted(site.data.rglob("*.png"))]


async def batch(service: Service, files: list[tuple[str, bytes]], job: int, **fields: Any) -> Any:
    data = {"training_job_id": str(job), **{key: str(value) for key, value in fields.items()}}
    parts = [("images", (name, content)) for name, content in files]
    return await service.client.post(BATCH, files=parts, data=data)


def zipped(files: list[tuple[str, bytes]]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as opened:
        for name, content in files:
            opened.writestr(name, content)
    return stream.getvalue()


def left(site: Site) -> list[Path]:
    folder = site.output / "uploads"
    return list(folder.iterdir()) if folder.is_dir() else []


@pytest.mark.slow
async def test_batches_archives_and_folders_give_what_predict_gives(site: Site) -> None:
    files = [*images(site), ("broken.png", b"no image"), ("00.png", images(site)[0][1])]
    async with served(site.db, site.output, **site.settings) as service:
        sent = await batch(service, files, site.job.id, batch_size=4, name="mine")
        assert sent.status_code == 202, sent.text
        made = sent.json()
        assert (made["inference_type"], made["status"], made["name"]) == (
            "batch",
            "pending",
            "mine",
        )
        named = [(f"{number}/{name}", data) for number, (name, data) in enumerate(images(site))]
        archive = await batch(service, [("all.zip", zipped(named))], site.job.id)
        assert archive.status_code == 202, archive.text
        run = {"engine": "inline"}
        body = {"training_job_id": site.job.id, "dataset_path": "data", "run": run}
        folder = await service.client.post(JOBS, json=body)
        assert (folder.status_code, folder.json()["inference_type"]) == (202, "dataset")
        await asyncio.to_thread(site.run_jobs)
        ids = [one.json()["id"] for one in (sent, archive, folder)]
        shown = [(await service.client.get(f"{JOBS}/{one}")).json() for one in ids]
        assert [(one["status"], one["total_images"]) for one in shown] == [
            ("completed", 14), ("completed", 12), ("completed", 12)]  # fmt: skip
        assert shown[0]["failed_images"] == 1
        assert shown[1]["name"] == archive.json()["name"] == "yolo11-12-images"
        pages = [(await service.client.get(f"{JOBS}/{one}/results")).json() for one in ids]
        here = [
            row["predicted_label"]
            for row in open_results(site.db, get_inference_job(site.db, ids[2])).frame().to_dicts()
        ]
        for page in pages[1:]:
            assert [one["predicted_label"] for one in page["results"]] == here
        first = pages[0]["results"]
        assert [one["predicted_label"] for one in first[:12]] == here
        assert [one["image_path"] for one in first[12:]] == ["broken.png", "00 (4).png"]
        assert (first[12]["status"], first[12]["error_code"]) == ("failed", "UNSUPPORTED")
        assert first[12]["error_message"].startswith("broken.png: the content starts with")
        assert first[0]["checkpoint"] == "pixel.bin"
        failed = await service.client.get(f"{JOBS}/{ids[0]}/results?status=failed")
        assert (failed.json()["total_count"], len(failed.json()["results"])) == (1, 1)
        picture = await service.client.get(f"{JOBS}/{ids[0]}/images/0/thumbnail?size=64")
        assert picture.headers["content-type"] == "image/jpeg"
        listed = (await service.client.get(JOBS)).json()
        assert (listed["total_count"], [one["id"] for one in listed["jobs"]]) == (3, ids[::-1])
        assert str(site.folder) not in json.dumps([shown, pages, listed])
        assert len(left(site)) == 2
        for one in ids:
            assert (await service.client.delete(f"{JOBS}/{one}")).status_code == 204
    assert left(site) == []


@pytest.mark.parametrize(
    ("files", "fields", "status", "code"),
    [
        ([], {}, 400, "MULTIPART"),
        ([("a.png", b"x")], {"training_job_id": 99}, 404, "JOB_NOT_FOUND"),
        ([("a.png", b"x")], {"checkpoint": "/etc/x"}, 403, "PATH_FORBIDDEN"),
        ([("a.png", b"x")], {"batch_size": 0}, 422, "VALIDATION"),
        ([("a.png", b"x")], {"colour": "red"}, 422, "FORM_FIELD"),
        ([("a.png", b"x")] * 4, {}, 422, "BATCH_IMAGES"),
        ([("a.png", bytes(9000))] * 2, {}, 413, "BYTE_LIMIT"),
        ([("a.zip", b"PK\x03\x04 no archive")], {}, 422, "ARCHIVE_INVALID"),
        ([("a.zip", zipped([("../a.png", b"x")]))], {}, 422, "ARCHIVE_PATH"),
        ([("a.zip", zipped([(".hidden", b"x")]))], {}, 422, "DATASET_EMPTY"),
        ([("a.zip", zipped([("a.png", b"x")])), ("b.png", b"x")], {}, 422, "FORM_FILES"),
        ([("a.png", b"x")], {"confidence": 0.5}, 422, "OPTION_INVALID"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_batches_that_cannot_be_run_leave_nothing_behind(
    files: Any, fields: Any, status: int, code: str, site: Site
) -> None:
    limits = {"max_batch_images": 3, "max_batch_bytes": 12_000}
    async with served(site.db, site.output, **site.settings, limits=limits) as service:
        response = await batch(service, files, **{"job": site.job.id, **_without_job(fields)})
    assert (response.status_code, response.json()["code"]) == (status, code), response.text
    assert left(site) == []
    assert list_inference_jobs(site.db) == []


def _without_job(fields: dict[str, Any]) -> dict[str, Any]:
    return {("job" if key == "training_job_id" else key): one for key, one in fields.items()}


async def test_names_of_uploads_are_labels_only(site: Site) -> None:
    data = images(site)[0][1]
    names = ["../../etc/passwd", "a/b/c.png", "x" * 300 + ".png", "<script>.png", "=cmd.png"]
    async with served(site.db, site.output, **site.settings) as service:
        sent = await batch(service, [(name, data) for name in names], site.job.id)
        assert sent.status_code == 202, sent.text
    (folder,) = left(site)
    assert sorted(path.name for path in (folder / "files").iterdir()) == [
        f"{number:06d}" for number in range(5)
    ]
    job = InferenceRunner(database=site.db.url).execute(sent.json()["id"])
    rows = open_results(site.db, job).frame().to_dicts()
    assert [row["image_id"] for row in rows] == [display_name(name) for name in names]
    assert {row["status"] for row in rows} == {"ok"}


async def test_uploads_that_were_never_completed_are_removed_at_the_next_start(
    site: Site,
) -> None:
    folder = site.output / "uploads"
    for name, age in ((".received-old", 10_000), (".received-new", 10), ("complete", 10_000)):
        (folder / name).mkdir(parents=True)
        os.utime(folder / name, (time.time() - age,) * 2)
    async with served(site.db, site.output, **site.settings):
        assert {path.name for path in left(site)} == {".received-new", "complete"}


async def test_recorded_requests_have_results_too(site: Site) -> None:
    detector = fixture_job(site.db, "detect")
    async with served(site.db, site.output, **site.settings) as service:
        sent = await service.single(picture(), detector.id, "b.png", record=True)
        one = sent.json()
        page = (await service.client.get(f"{JOBS}/{one['inference_job_id']}/results")).json()
    (result,) = page["results"]
    assert (page["total_count"], result["id"], result["image_name"]) == (1, one["id"], "b.png")
    assert [box["xyxy"] for box in result["predicted_boxes"]] == [
        box["xyxy"] for box in one["predicted_boxes"]
    ]


async def test_a_recorded_request_that_failed_is_not_resumed(site: Site) -> None:
    """Its image is not there any more; a queue that took it could only fail again."""
    detector = fixture_job(site.db, "detect")
    async with served(site.db, site.output, **site.settings) as service:
        sent = await service.single(picture()[:60], detector.id, record=True)
        assert sent.status_code == 422
        (job,) = list_inference_jobs(site.db)
        assert job.status == "failed"
        response = await service.client.post(f"{JOBS}/{job.id}/resume")
    assert (response.status_code, response.json()["code"]) == (409, "JOB_IS_RECORDED")
    assert queued_jobs(site.db, INFERENCE_JOB) == set()


async def test_a_folder_outside_of_the_roots_is_rejected(site: Site) -> None:
    write_image(site.folder / "secret" / "a.png")
    async with served(site.db, site.output, **site.settings) as service:
        for path in ("../secret", "/etc", str(site.folder / "secret")):
            body = {"training_job_id": site.job.id, "dataset_path": path}
            response = await service.client.post(JOBS, json=body)
            assert (response.status_code, response.json()["code"]) == (403, "PATH_FORBIDDEN")
