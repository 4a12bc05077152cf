"""Retention of images of recorded requests: nothing else is ever deleted."""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import time
import uuid
from pathlib import Path

import pytest
from sqlalchemy import select

from snellen.adapters.errors import RunError
from snellen.serve.api.recording import housekeeping, retention
from snellen.serve.api.recording.retention import sweep
from snellen.serve.config import RetentionConfig
from snellen.store.image_rows import record_request
from snellen.store.sql.database import Database
from snellen.store.sql.models import InferenceResultRow
from snellen.store.views import JobView
from tests.serve.conftest import picture
from tests.serve.local_service import fixture_job, served

DAY = 86_400


@pytest.fixture
def job(db: Database) -> JobView:
    return fixture_job(db, "classify")


def recorded(db: Database, job: JobView, root: Path, days: float, size: int = 100) -> str:
    """Record a request of some days ago with a picture of some bytes."""
    relative = f"requests/{uuid.uuid4().hex}.jpg"
    path = root / relative
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(bytes(size))
    os.utime(path, (0, time.time() - days * DAY))
    columns = {
        "training_job_id": job.id,
        "checkpoint_path": "",
        "inference_type": "single",
        "task_type": "image_classification",
        "status": "completed",
    }
    row = {
        **{"image_index": 0, "image_path": "a", "image_name": "a", "status": "ok"},
        "extra_data": None,
        "visualization_path": relative,
    }
    record_request(db, columns, row)
    return relative


def references(db: Database) -> list[str | None]:
    with db.read() as session:
        query = select(InferenceResultRow.visualization_path).order_by(InferenceResultRow.id)
        return list(session.scalars(query))


def files(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in (root / "requests").iterdir()}


def test_old_images_are_deleted_with_their_references(
    db: Database, job: JobView, tmp_path: Path
) -> None:
    old = [recorded(db, job, tmp_path, days, size=10) for days in (40, 31)]
    new = [recorded(db, job, tmp_path, days) for days in (29, 0)]
    swept = sweep(db, tmp_path, RetentionConfig(days=30))
    assert files(tmp_path) == set(new)
    assert references(db) == [None, None, *new]
    assert (swept.expired, swept.excess, swept.bytes) == (2, 0, 20)
    assert "2 images of recorded requests deleted (20 bytes): 2 by retention.days" in str(swept)
    assert not any(path in references(db) for path in old)


def test_the_oldest_images_above_the_size_are_deleted(
    db: Database, job: JobView, tmp_path: Path
) -> None:
    paths = [recorded(db, job, tmp_path, days) for days in (1, 4, 2, 3)]
    swept = sweep(db, tmp_path, RetentionConfig(bytes=250))
    assert files(tmp_path) == {paths[0], paths[2]}
    assert references(db) == [paths[0], None, paths[2], None]
    assert (swept.expired, swept.excess) == (0, 2)
    assert sweep(db, tmp_path, RetentionConfig(bytes=250)).bytes == 0


def test_both_limits_hold(db: Database, job: JobView, tmp_path: Path) -> None:
    paths = [recorded(db, job, tmp_path, days) for days in (9, 3, 2)]
    swept = sweep(db, tmp_path, RetentionConfig(days=7, bytes=100))
    assert files(tmp_path) == {paths[2]}
    assert (swept.expired, swept.excess) == (1, 1)


def test_images_that_are_being_recorded_are_kept(
    db: Database, job: JobView, tmp_path: Path
) -> None:
    path = recorded(db, job, tmp_path, days=0)
    sweep(db, tmp_path, RetentionConfig(bytes=0))
    assert files(tmp_path) == {path}


def test_nothing_else_is_deleted(db: Database, job: JobView, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    root = tmp_path / "runs"
    root.mkdir()
    (outside / f"{'a' * 32}.jpg").write_bytes(b"x")
    recorded(db, job, root, days=40)
    kept = ["mine.jpg", f"{'a' * 31}.jpg", f"{'A' * 32}.jpg", f"{'b' * 32}.png"]
    for name in kept:
        (root / "requests" / name).write_bytes(b"x")
        os.utime(root / "requests" / name, (0, 0))
    (root / "requests" / f"{'c' * 32}.jpg").symlink_to(outside / f"{'a' * 32}.jpg")
    (root / "requests" / f"{'d' * 32}.jpg").mkdir()
    sweep(db, root, RetentionConfig(days=1, bytes=0))
    assert len(files(root)) == len(kept) + 2
    assert len(list(outside.iterdir())) == 1


def test_a_folder_that_is_a_link_is_left_alone(db: Database, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    file = tmp_path / "outside" / f"{'a' * 32}.jpg"
    file.write_bytes(b"x")
    os.utime(file, (0, 0))
    (tmp_path / "requests").symlink_to(tmp_path / "outside")
    assert sweep(db, tmp_path, RetentionConfig(days=1)).bytes == 0
    assert file.exists()


def test_without_a_database_nothing_is_deleted(
    db: Database, job: JobView, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = recorded(db, job, tmp_path, days=40)

    def locked(*_: object) -> None:
        raise RunError("DATABASE_LOCKED", "the database is locked")

    monkeypatch.setattr(retention, "forget_pictures", locked)
    with pytest.raises(RunError):
        sweep(db, tmp_path, RetentionConfig(days=1))
    assert files(tmp_path) == {path}


@pytest.mark.anyio
async def test_the_service_sweeps_at_its_start_and_keeps_everything_by_default(
    db: Database, job: JobView, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = recorded(db, job, tmp_path, days=4000)
    async with served(db, tmp_path):
        await asyncio.sleep(0.05)
    assert files(tmp_path) == {path}
    caplog.set_level(logging.INFO)
    async with served(db, tmp_path, retention={"days": 365}) as service:
        async with asyncio.timeout(10):
            while files(tmp_path):
                await asyncio.sleep(0.01)
        assert "1 images of recorded requests deleted" in caplog.text
        response = await service.client.get("/inference/inference-jobs/1/results")
        assert response.json()["results"][0]["visualization_path"] is None


@pytest.mark.anyio
async def test_it_sweeps_every_hour(
    db: Database, job: JobView, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(housekeeping, "_INTERVAL_S", 0.02)
    async with served(db, tmp_path, retention={"days": 1}):
        for _ in range(2):
            recorded(db, job, tmp_path, days=2)
            async with asyncio.timeout(10):
                while files(tmp_path):
                    await asyncio.sleep(0.01)
    assert references(db) == [None, None]


@pytest.mark.anyio
async def test_requests_are_recorded_while_images_are_swept(
    db: Database, job: JobView, tmp_path: Path
) -> None:
    async with served(db, tmp_path, retention={"bytes": 0}) as service:
        fields = {"record": "true", "visualize": "true"}
        response = await service.single(picture(), job.id, **fields)
        assert response.status_code == 200
        assert (tmp_path / response.json()["visualization_path"]).exists()
    shutil.rmtree(tmp_path / "requests")
