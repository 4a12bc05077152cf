"""The application at its socket: clients that disconnect, and early rejections."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from benchmarks.load import multipart
from snellen.serve.config import LimitsConfig
from snellen.serve.http.server import Listener
from snellen.serve.inference.messages import InferenceReply, InferenceRequest
from snellen.store.sql.database import Database
from snellen.store.views import JobView
from tests.ray_cluster import free_port
from tests.serve.conftest import AccessLines, picture
from tests.serve.http.raw_client import connect
from tests.serve.local_service import Service, served

pytestmark = pytest.mark.anyio
SINGLE = "/inference/single"


@asynccontextmanager
async def at_socket(
    db: Database, root: Path, **limits: Any
) -> AsyncIterator[tuple[Service, Listener]]:
    async with served(db, root, limits=limits) as service:
        listener = Listener(
            service.app, host="127.0.0.1", port=free_port(), limits=LimitsConfig(**limits)
        )
        await listener.start()
        yield service, listener
        await listener.close()


def upload(job: JobView, padding: int = 0) -> bytes:
    fields = {"training_job_id": str(job.id)}
    return multipart(SINGLE, "localhost", picture() + bytes(padding), fields)


async def until(condition: Any) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.01)


async def test_disconnecting_while_waiting_frees_the_slot_and_the_model(
    db: Database, jobs: dict[str, JobView], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, ended = asyncio.Event(), asyncio.Event()

    async def slow(_: InferenceRequest) -> InferenceReply:
        begun.set()
        try:
            await asyncio.sleep(60)
        finally:
            ended.set()
        raise AssertionError

    async with at_socket(db, tmp_path) as (service, listener):
        monkeypatch.setattr(service.backend, "infer", slow)
        client = await connect(listener)
        client.send(upload(jobs["classify"]))
        admission = service.state.admission
        await until(begun.is_set)
        assert admission.running == 1
        client.close()
        await until(ended.is_set)
        await until(lambda: admission.open == 0)
        assert (admission.running, admission.buffered) == (0, 0)
        metrics = (await service.client.get("/metrics")).text
    assert f'route="{SINGLE}",status="499"}} 1.0' in metrics
    assert 'status="500"' not in metrics


async def test_disconnecting_during_the_upload_frees_its_memory(
    db: Database, jobs: dict[str, JobView], tmp_path: Path
) -> None:
    async with at_socket(db, tmp_path) as (service, listener):
        client = await connect(listener)
        client.send(upload(jobs["classify"], padding=500_000)[:400_000])
        admission = service.state.admission
        await until(lambda: admission.buffered > 300_000)
        client.close()
        await until(lambda: admission.open == 0)
        assert admission.buffered == 0


async def test_an_upload_is_rejected_before_it_is_read_if_the_queue_is_full(
    db: Database, jobs: dict[str, JobView], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with at_socket(db, tmp_path, max_queued=1, retry_after_s=3) as (service, listener):
        monkeypatch.setattr(
            "snellen.serve.api.routes.single.read_form", None
        )  # must not be reached
        client = await connect(listener)
        with service.state.admission.slot():
            for _ in range(2):
                client.send(upload(jobs["classify"], padding=300_000))
                response = await client.receive()
                assert (response.status, response.headers["retry-after"]) == (503, "3")
                assert b'"OVERLOADED"' in response.body
            client.send(b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert (await client.receive()).status == 200
        client.close()
        metrics = (await service.client.get("/metrics")).text
    assert f'route="{SINGLE}",status="503"}} 2.0' in metrics


async def test_keys_are_checked_before_admission(db: Database, tmp_path: Path) -> None:
    """Clients without a key do not learn how busy the service is."""
    async with served(db, tmp_path, keys=["k"], limits={"max_queued": 1}) as service:
        with service.state.admission.slot():
            without_key = await service.client.post(SINGLE)
            with_key = await service.client.post(SINGLE, headers={"X-API-Key": "k"})
    assert (without_key.status_code, with_key.status_code) == (401, 503)


async def test_malformed_bodies_and_disconnected_clients_have_one_line(
    db: Database, tmp_path: Path, access_log: AccessLines
) -> None:
    head = b"POST /inference/comparisons HTTP/1.1\r\nHost: localhost\r\nX-Request-ID: mine\r\n"
    async with at_socket(db, tmp_path) as (_, listener):
        client = await connect(listener)
        client.send(head + b"Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n")
        await asyncio.sleep(0.1)
        client.send(b"no chunk")
        response = await client.receive()
        assert (response.status, response.headers["x-request-id"]) == (400, "mine")
        client.close()
        client = await connect(listener)
        client.send(head + b"Content-Length: 10\r\n\r\n{")
        await asyncio.sleep(0.1)
        client.close()
        await until(lambda: len(access_log()) == 2)
    found = [(one["status"], one["path"], one["bytes_received"]) for one in access_log()]
    assert found == [(400, "/inference/comparisons", 1), (499, "/inference/comparisons", 1)]


async def test_head_is_get_without_a_body(db: Database, tmp_path: Path) -> None:
    async with at_socket(db, tmp_path) as (_, listener):
        client = await connect(listener)
        heads = {}
        for method in ("HEAD", "GET"):
            line = f"{method} /health/live HTTP/1.1\r\n"
            client.send(f"{line}Host: localhost\r\nX-Request-ID: a\r\n\r\n".encode())
            async with asyncio.timeout(10):
                heads[method] = await client.reader.readuntil(b"\r\n\r\n")
        assert heads["HEAD"].startswith(b"HTTP/1.1 200")
        assert heads["HEAD"].splitlines()[2:] == heads["GET"].splitlines()[2:]  # without the date
        client.close()
