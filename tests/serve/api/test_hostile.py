"""Requests that no honest client sends: each gets a problem document, and costs others nothing."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from store.database import Database
from store.views import JobView
from tests.serve.conftest import picture
from tests.serve.local import served

pytestmark = pytest.mark.anyio
Jobs = dict[str, JobView]
SINGLE, TRAINING = "/inference/single", "/inference/training-jobs"


@pytest.mark.parametrize("origin", ["http://[", "http://[::1", "http://a]b", "//", "\x7f"])
async def test_an_origin_that_cannot_be_parsed(origin: str, db: Database, tmp_path: Path) -> None:
    async with served(db, tmp_path) as service:
        answer = await service.client.get("/health/live", headers={"Origin": origin})
    assert (answer.status_code, answer.json()["code"]) == (403, "ORIGIN")


async def test_a_parameter_that_is_sent_twice(db: Database, jobs: Jobs, tmp_path: Path) -> None:
    """Which one was meant would be a guess; form fields are refused, too."""
    async with served(db, tmp_path) as service:
        answer = await service.client.post(
            f"{SINGLE}?training_job_id=1&training_job_id=2", files={"image": ("a", picture())}
        )
    assert (answer.status_code, answer.json()["code"]) == (422, "VALIDATION")
    assert "'training_job_id' more than once" in answer.json()["detail"]


@pytest.mark.parametrize("path", [f"{SINGLE}/", "/health/live/", "//health/live", "/Health/live"])
async def test_paths_are_exact(path: str, db: Database, tmp_path: Path) -> None:
    """A redirect would name the host that the client named, and drop what it sent."""
    async with served(db, tmp_path) as service:
        answer = await service.client.request("POST", f"http://localhost{path}")
    assert (answer.status_code, answer.json()["code"]) == (404, "NOT_FOUND")
    assert "location" not in answer.headers


async def test_what_a_client_chose_is_not_sent_back_whole(db: Database, tmp_path: Path) -> None:
    async with served(db, tmp_path) as service:
        long_key = await service.client.post(TRAINING, json={"k" * 3_000_000: 1})
        long_name = await service.client.post(f"{SINGLE}?{'k' * 30_000}=1")
    for answer in (long_key, long_name):
        assert answer.status_code == 422
        assert len(answer.content) < 2000


async def test_line_breaks_do_not_get_into_the_log(
    db: Database, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    fake = "2030-01-01 ERROR the disk is full"
    async with served(db, tmp_path, roots=[str(tmp_path)]) as service:
        with caplog.at_level(logging.INFO, "snellen.serve"):
            answer = await service.client.post(TRAINING, json={"output_dir": f"http://x\n{fake}"})
    assert answer.status_code == 403
    (record,) = [one for one in caplog.records if one.name == "snellen.serve"]
    assert f"\\n{fake}" in record.getMessage()
    assert "\n" not in record.getMessage()
