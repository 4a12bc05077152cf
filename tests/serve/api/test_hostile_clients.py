"""Requests of hostile clients: each gets a problem document, and others are not affected."""

from __future__ import annotations

import asyncio
import logging
import threading
from pathlib import Path
from typing import Any

import pytest

from snellen.adapters.errors import RunError
from snellen.serve.api.recording.recorder import Recorder
from snellen.store.sql.database import Database
from snellen.store.views import JobView
from tests.serve.conftest import picture
from tests.serve.local_service import Service, served

pytestmark = pytest.mark.anyio
Jobs = dict[str, JobView]
HEAD = b"Content-Disposition: form-data; name=image; filename=a\r\n\r\n"
SINGLE, TRAINING = "/inference/single", "/inference/training-jobs"


@pytest.mark.parametrize("origin", ["http://[", "http://[::1", "http://a]b", "//", "\x7f"])
async def test_an_origin_that_cannot_be_parsed(origin: str, db: Database, tmp_path: Path) -> None:
    async with served(db, tmp_path) as service:
        response = await service.client.get("/health/live", headers={"Origin": origin})
    assert (response.status_code, response.json()["code"]) == (403, "ORIGIN")


async def test_a_duplicate_parameter(db: Database, jobs: Jobs, tmp_path: Path) -> None:
    """Choosing one of them would be a guess; duplicate form fields are rejected, too."""
    async with served(db, tmp_path) as service:
        response = await service.client.post(
            f"{SINGLE}?training_job_id=1&training_job_id=2", files={"image": ("a", picture())}
        )
    assert (response.status_code, response.json()["code"]) == (422, "VALIDATION")
    assert "Duplicate query parameter 'training_job_id'" in response.json()["detail"]


@pytest.mark.parametrize("path", [f"{SINGLE}/", "/health/live/", "//health/live", "/Health/live"])
async def test_paths_are_exact(path: str, db: Database, tmp_path: Path) -> None:
    """A redirect would contain the Host header of the client, and drop the body."""
    async with served(db, tmp_path) as service:
        response = await service.client.request("POST", f"http://localhost{path}")
    assert (response.status_code, response.json()["code"]) == (404, "NOT_FOUND")
    assert "location" not in response.headers


async def test_long_client_input_is_shortened_in_the_response(db: Database, tmp_path: Path) -> None:
    async with served(db, tmp_path) as service:
        long_key = await service.client.post(TRAINING, json={"k" * 3_000_000: 1})
        long_name = await service.client.post(f"{SINGLE}?{'k' * 30_000}=1")
    for response in (long_key, long_name):
        assert response.status_code == 422
        assert len(response.content) < 2000


async def test_line_breaks_are_escaped_in_the_log(
    db: Database, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    fake = "2030-01-01 ERROR the disk is full"
    async with served(db, tmp_path, roots=[str(tmp_path)]) as service:
        with caplog.at_level(logging.INFO, "snellen.serve"):
            response = await service.client.post(TRAINING, json={"output_dir": f"http://x\n{fake}"})
    assert response.status_code == 403
    (record,) = [one for one in caplog.records if one.name == "snellen.serve"]
    assert f"\\n{fake}" in record.getMessage()
    assert "\n" not in record.getMessage()


async def disconnect(service: Service, body: bytes) -> list[str]:
    """Send part of a body, disconnect, and return the types of messages sent back."""
    messages = iter(
        [
            {"type": "http.request", "body": body, "more_body": True},
            {"type": "http.disconnect"},
        ]
    )
    sent: list[str] = []

    async def receive() -> Any:
        await asyncio.sleep(0)
        return next(messages, {"type": "http.disconnect"})

    async def send(message: Any) -> None:
        sent.append(message["type"])

    headers = [(b"host", b"localhost"), (b"content-type", b"multipart/form-data; boundary=x")]
    scope = {
        "type": "http", "method": "POST", "path": SINGLE, "raw_path": SINGLE.encode(),
        "query_string": b"", "headers": headers, "http_version": "1.1", "scheme": "http",
        "root_path": "", "server": ("localhost", 80), "client": ("127.0.0.1", 1),
    }  # fmt: skip
    await service.app(scope, receive, send)
    return sent


@pytest.mark.parametrize("body", [b"", b"--x\r\nContent-Disp", b"--x\r\n" + HEAD + bytes(5000)])
async def test_disconnecting_during_the_upload_is_not_an_error(
    body: bytes, db: Database, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with served(db, tmp_path) as service:
        with caplog.at_level(logging.INFO, "snellen.serve"):
            await disconnect(service, body)
        metrics = (await service.client.get("/metrics")).text
        admission = service.state.admission
        assert (admission.running, admission.open, admission.buffered) == (0, 0, 0)
    assert [one for one in caplog.records if one.name == "snellen.serve"] == []
    assert f'route="{SINGLE}",status="499"}} 1.0' in metrics


async def test_recordings_that_wait_for_the_database_do_not_block_other_requests(
    db: Database, jobs: Jobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    locked = threading.Event()

    def waits(*_: object) -> None:
        locked.wait(30)
        raise RunError("DATABASE_LOCKED", "locked")

    monkeypatch.setattr(Recorder, "record", waits)
    async with served(db, tmp_path, limits={"max_queued": 100}) as service:
        job = jobs["classify"].id
        await service.single(picture(), job)
        recorded = [
            asyncio.create_task(service.single(picture(), job, record="true")) for _ in range(60)
        ]
        while len(service.backend.requests) < 61:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.1)
        async with asyncio.timeout(5):
            plain = await service.single(picture(), job)
            ready = await service.client.get("/health/ready")
            listed = await service.client.get(TRAINING)
        locked.set()
        responses = await asyncio.gather(*recorded)
    assert [plain.status_code, ready.status_code, listed.status_code] == [200] * 3
    assert {(one.status_code, one.json()["code"]) for one in responses} == {
        (503, "DATABASE_LOCKED")
    }


async def test_readiness_probes_share_one_thread(
    db: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    locked, probes = threading.Event(), []

    def waits(_: object) -> int:
        probes.append(1)
        locked.wait(30)
        return 0

    monkeypatch.setattr("snellen.serve.api.routes.health.count_training_jobs", waits)
    monkeypatch.setattr("snellen.serve.api.routes.health._PROBE_TIMEOUT_S", 0.3)
    async with served(db, tmp_path) as service:
        get = service.client.get
        responses = await asyncio.gather(*(get("/health/ready") for _ in range(100)))
        listed = await get(TRAINING)
        locked.set()
        await asyncio.sleep(0.1)
        after = await get("/health/ready")
    assert {(one.status_code, one.json()["code"]) for one in responses} == {(503, "MODELS")}
    assert (listed.status_code, after.status_code, len(probes)) == (200, 200, 2)


async def test_disconnecting_while_waiting_is_counted_as_499(
    db: Database, jobs: Jobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ray Serve cancels the request; the metrics must not count it as 500."""
    async with served(db, tmp_path) as service:

        async def slow(_: object) -> None:
            await asyncio.sleep(60)

        monkeypatch.setattr(service.backend, "infer", slow)
        task = asyncio.create_task(service.single(picture(), jobs["classify"].id))
        while not service.state.admission.running:
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        metrics = (await service.client.get("/metrics")).text
    assert f'route="{SINGLE}",status="499"}} 1.0' in metrics
    assert 'status="500"' not in metrics


@pytest.mark.parametrize("hosts", [("localhost", "evil"), ("evil", "localhost")])
async def test_two_host_headers_are_rejected(
    hosts: tuple[str, str], db: Database, tmp_path: Path
) -> None:
    async with served(db, tmp_path) as service:
        headers = [("Host", host) for host in hosts]
        response = await service.client.get("/health/live", headers=headers)
    assert (response.status_code, response.json()["code"]) == (400, "HOST")
