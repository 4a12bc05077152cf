"""Deleting a run removes every file and every row that it has made, and nothing else.

``snellen delete`` carries out the same plan as the route; the service then forgets the pictures of
the deleted run within the hour.
"""

from __future__ import annotations

import asyncio
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from snellen.analysis.export.run_export import export_run
from snellen.pipelines.runs.deletion import (
    deletion_of_inference_job,
    deletion_of_run,
    deletion_of_training_job,
)
from snellen.pipelines.runs.evaluation import EVALUATION
from snellen.pipelines.runs.kinds import RunKind
from snellen.pipelines.runs.prediction import PREDICTION
from snellen.pipelines.runs.run_folder import recorded_picture, uploads_of
from snellen.serve.jobs import execute_analysis
from snellen.store.jobs import get_training_job
from snellen.store.kinds import TEST_RUN
from snellen.store.runs import get_inference_job
from snellen.store.service.analyses import (
    EXPORT,
    create_analysis,
    delete_analysis,
    get_analysis,
)
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


async def delete(service: Service, kind: RunKind, run_id: int, by: str) -> None:
    if by == "route":
        collection = "test-runs" if kind is EVALUATION else "inference-jobs"
        await ok(service, "DELETE", f"/{collection}/{run_id}")
        return
    db = service.state.db
    plan = deletion_of_run if kind is EVALUATION else deletion_of_inference_job
    plan(db, kind.get(db, run_id)).carry_out(db)
    service.state.pictures.forget_deleted()


BY = pytest.mark.parametrize("by", ["route", "command"])


@BY
@pytest.mark.slow
async def test_a_test_run(site: Site, by: str) -> None:
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
        await delete(service, EVALUATION, 2, by)
        assert (rows(site.db), files(site.folder)) == before


@BY
@pytest.mark.slow
async def test_an_inference_job_on_uploads(site: Site, by: str) -> None:
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
        assert uploads_of(replace(job, inference_type="dataset")) is None  # not its own
        await delete(service, PREDICTION, 1, by)
        assert (rows(site.db), files(site.folder)) == before


@BY
async def test_a_recorded_request(
    db: Database, jobs: dict[str, JobView], tmp_path: Path, by: str
) -> None:
    async with served(db, tmp_path) as service:
        fields = {"record": "true", "visualize": "true"}
        await service.single(picture(), jobs["classify"].id, **fields)
        (tmp_path / "requests" / "mine.jpg").write_bytes(b"x")
        before = rows(db), files(tmp_path)
        made = (await service.single(picture(), jobs["classify"].id, **fields)).json()
        assert made["visualization_path"] in files(tmp_path)
        await delete(service, PREDICTION, made["inference_job_id"], by)
        assert (rows(db), files(tmp_path)) == before


@pytest.mark.slow
async def test_a_training_job_with_its_runs_and_their_exports(site: Site) -> None:
    before = rows(site.db), files(site.folder)
    run = site.run_here(metrics={"bootstrap": 0})
    create_analysis(site.db, EXPORT, TEST_RUN, [run.id], {"format": "csv"})
    site.run_jobs()
    assert list((site.output / "exports").rglob("*.csv"))
    deletion_of_training_job(site.db, site.job).carry_out(site.db)
    before[0]["training_jobs"].clear()
    assert (rows(site.db), files(site.folder)) == before


async def test_an_export_that_is_deleted_while_it_is_written(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = site.run_here(metrics={"bootstrap": 0})
    found = create_analysis(site.db, EXPORT, TEST_RUN, [run.id], {"format": "csv"})
    before = files(site.folder)

    def written_and_deleted(*arguments: Any, **named: Any) -> Any:
        document = export_run(*arguments, **named)
        delete_analysis(site.db, get_analysis(site.db, EXPORT, found.id))
        Path(document["path"]).parent.mkdir()
        Path(document["path"]).write_text("written after its folder was deleted")
        return document

    monkeypatch.setattr(execute_analysis, "export_run", written_and_deleted)
    execute_analysis.execute_analysis(site.db, found.id, str(site.output))
    assert files(site.folder) == before


@pytest.mark.slow
async def test_deleting_in_a_copy_keeps_the_original(
    site: Site, tmp_path_factory: pytest.TempPathFactory
) -> None:
    site.run_here(metrics={"bootstrap": 0})
    async with served(site.db, site.output, **site.settings) as service:
        parts = [("images", ("0.png", picture(size=(16, 16))))]
        data = {"training_job_id": str(site.job.id)}
        await ok(service, "POST", "/batch", files=parts, data=data)
        fields = {"record": "true", "visualize": "true"}
        await service.single(picture(), site.job.id, **fields)
        create_analysis(site.db, EXPORT, TEST_RUN, [1], {"format": "csv"})
        await asyncio.to_thread(site.run_jobs)
    copy = tmp_path_factory.mktemp("backup") / "copy"
    shutil.copytree(site.folder, copy)
    made = files(copy)
    original = {name: files(site.folder)[name] for name in made}
    db = Database.open(f"sqlite:///{copy / 'runs.db'}")
    try:
        deletion_of_training_job(db, get_training_job(db, site.job.id)).carry_out(db)
    finally:
        db.close()
    assert {name: time for name, time in files(site.folder).items() if name in made} == original
    left = {Path(name).parts[0] for name in files(copy)}
    assert left == {"models", "roots"}, "what no run has made"


async def test_only_files_of_recorded_requests_are_deleted(
    db: Database, jobs: dict[str, JobView], tmp_path: Path
) -> None:
    async with served(db, tmp_path) as service:
        made = await service.single(picture(), jobs["classify"].id, record="true", visualize="true")
    run = get_inference_job(db, made.json()["inference_job_id"])
    name = f"{'a' * 32}.jpg"
    assert recorded_picture(db, run, f"requests/{name}") == tmp_path / "requests" / name
    for relative in (f"../requests/{name}", f"/etc/{name}", "", None, "requests/mine.jpg", name):
        assert recorded_picture(db, run, relative) is None
    (tmp_path / "requests").rename(tmp_path / "other")
    (tmp_path / "requests").symlink_to(tmp_path / "other")
    assert recorded_picture(db, run, f"requests/{name}") is None
