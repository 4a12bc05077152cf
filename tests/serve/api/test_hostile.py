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
