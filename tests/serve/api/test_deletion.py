"""Deleting a run removes every file and every row that it has made, and nothing else."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from snellen.pipelines.runs.control import deletion_of_inference_job
from snellen.pipelines.runs.run_folder import uploads_of
from snellen.store.runs import get_inference_job
from snellen.store.sql.database import Database
from snellen.store.sql.models import Base
from snellen.store.views import JobView
from tests.serve.conftest import picture
from tests.serve.local_service import Service, served
from tests.serve.site import Site

pytestmark = pytest.mark.anyio
API = "/inference"


def rows(db: Database) -> dict[str, set[str]]:
    """Return every row of every table."""
    with db.read() as session:
        return {
            name: {repr(row) for row in session.execute(select(table))}
            for name, table in Base.metadata.tables.items()
        }


def files(folder: Path) -> dict[str, int]:
    """Return every file below a folder but logs, with the time of its last change."""
    return {
        str(path.relative_to(folder)): path.stat().st_mtime_ns
        for path in folder.rglob("*")
        if path.is_file() and path.suffix not in (".log", ".db")
    }


async def ok(service: Service, method: str, url: str, **options: Any) -> Any:
    response = await service.client.request(method, f"{API}{url}", **options)
    assert response.is_success, response.text
    return response


@pytest.mark.slow
async def test_a_test_run(site: Site) -> None:
    kept = site.run_here(metrics={"bootstrap": 0})
    async with served(site.db, site.output, **site.settings) as service:
        await ok(service, "GET", f"/test-runs/{kept.id}/images/0/thumbnail")
        before = rows(site.db), files(site.folder)

        await ok(service, "POST", "/test-runs", json=site.request())
        await asyncio.to_thread(site.run_jobs)
        await ok(service, "POST", "/test-runs/2/exports", json={"format": "csv"})
        await asyncio.to_thread(site.run_jobs)
        await ok(service, "GET", "/exports/1/file")
        for variant in ("thumbnail", "overlay"):
            await ok(service, "GET", f"/test-runs/2/images/1/{variant}")
        assert len(files(site.folder)) > len(before[1]) + 4
        await ok(service, "DELETE", "/test-runs/2")
        assert (rows(site.db), files(site.folder)) == before


@pytest.mark.slow
async def test_an_inference_job_on_uploads(site: Site) -> None:
    async with served(site.db, site.output, **site.settings) as service:
        before = rows(site.db), files(site.folder)
        parts = [("images", (f"{n}.png", picture(size=(16, 16)))) for n in range(3)]
        data = {"training_job_id": str(site.job.id)}
        await ok(service, "POST", "/batch", files=parts, data=data)
        await asyncio.to_thread(site.run_jobs)
        await ok(service, "GET", "/inference-jobs/1/images/0/overlay")
        assert len(files(site.folder)) > len(before[1]) + 4
        job = get_inference_job(site.db, 1)
        folder = uploads_of(job)
        assert folder is not None
        assert folder in deletion_of_inference_job(site.db, job).folders  # as the command deletes
        assert uploads_of(replace(job, inference_type="dataset")) is None  # not its own
        await ok(service, "DELETE", "/inference-jobs/1")
        assert (rows(site.db), files(site.folder)) == before


async def test_a_recorded_request(db: Database, jobs: dict[str, JobView], tmp_path: Path) -> None:
    async with served(db, tmp_path) as service:
        fields = {"record": "true", "visualize": "true"}
        await service.single(picture(), jobs["classify"].id, **fields)
        (tmp_path / "requests" / "mine.jpg").write_bytes(b"x")
        before = rows(db), files(tmp_path)
        made = (await service.single(picture(), jobs["classify"].id, **fields)).json()
        assert made["visualization_path"] in files(tmp_path)
        await ok(service, "DELETE", f"/inference-jobs/{made['inference_job_id']}")
        assert (rows(db), files(tmp_path)) == before
