"""Responses to requests that a setting rejects name the setting."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from snellen.serve.config import ServeConfig
from snellen.store.sql.database import Database
from snellen.store.views import JobView
from tests.serve.conftest import picture
from tests.serve.local_service import Service, served

pytestmark = pytest.mark.anyio
JOB = {"training_job_id": "1"}


def keys_of(config: dict[str, Any], prefix: str = "") -> set[str]:
    found = set[str]()
    for key, value in config.items():
        found |= keys_of(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key}
    return found


async def problem(service: Service, setting: str, status: int, **request: Any) -> None:
    """Send a request, and check the status and that the detail names the setting."""
    assert setting in keys_of(ServeConfig().model_dump())
    method = request.pop("method", "POST")
    response = await service.client.request(method, **request)
    assert response.status_code == status, response.text
    named = f"({setting})" if setting == "roots" else setting
    assert named in response.json()["detail"]


async def test_hosts_origins_and_keys(db: Database, tmp_path: Path) -> None:
    url = "/inference/training-jobs"
    async with served(db, tmp_path, keys=["k"]) as service:
        host = {"Host": "a.example.com", "X-API-Key": "k"}
        await problem(service, "security.allowed_hosts", 400, method="GET", url=url, headers=host)
        origin = {"Origin": "https://a.example.com", "X-API-Key": "k"}
        await problem(service, "security.cors_origins", 403, method="GET", url=url, headers=origin)
        await problem(service, "security.require_keys", 401, method="GET", url=url)


async def test_limits_of_single_images(
    db: Database, jobs: dict[str, JobView], tmp_path: Path
) -> None:
    url = "/inference/single"
    files = {"image": ("a.png", picture())}
    async with served(db, tmp_path, limits={"max_pixels": 1000}) as service:
        await problem(service, "limits.max_pixels", 413, url=url, files=files, data=JOB)
    for size in (10, 100_000):  # in the form, and as a whole
        large = {"image": ("a.png", bytes(size + 20))}
        async with served(db, tmp_path, limits={"max_image_bytes": size}) as service:
            await problem(service, "limits.max_image_bytes", 413, url=url, files=large, data=JOB)
    async with served(db, tmp_path, limits={"max_buffered_bytes": 10}) as service:
        await problem(service, "limits.max_buffered_bytes", 503, url=url, files=files, data=JOB)
    async with served(db, tmp_path, limits={"max_queued": 1}) as service:
        with service.state.admission.slot():
            await problem(service, "limits.max_queued", 503, url=url, files=files, data=JOB)


async def test_limits_of_batches(db: Database, jobs: dict[str, JobView], tmp_path: Path) -> None:
    url = "/inference/batch"
    files = [("images", (f"{n}.png", picture())) for n in range(3)]
    async with served(db, tmp_path, limits={"max_batch_images": 2}) as service:
        await problem(service, "limits.max_batch_images", 422, url=url, files=files, data=JOB)
    async with served(
        db, tmp_path, limits={"max_batch_images": 1, "max_batch_bytes": 1}
    ) as service:
        await problem(service, "limits.max_batch_bytes", 413, url=url, files=files, data=JOB)


async def test_roots(db: Database, jobs: dict[str, JobView], tmp_path: Path) -> None:
    body = {"training_job_id": 1, "dataset_path": "/etc/none"}
    (tmp_path / "a").mkdir()
    for roots in ([], [str(tmp_path / "a")]):
        async with served(db, tmp_path, roots=roots) as service:
            await problem(service, "roots", 403, url="/inference/test-runs", json=body)
            run = {"output_dir": "/etc/none"}
            await problem(service, "roots", 403, url="/inference/training-jobs", json=run)
