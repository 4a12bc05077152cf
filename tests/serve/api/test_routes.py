"""Health, metrics, /docs, and the checks that every request passes."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from snellen.serve.api.middleware.api_keys import api_keys
from snellen.serve.api.middleware.hosts import is_loopback
from snellen.store.sql.database import Database
from snellen.store.views import JobView
from tests.serve.conftest import picture
from tests.serve.local_service import served

pytestmark = pytest.mark.anyio
Jobs = dict[str, JobView]


async def test_health_and_metrics(db: Database, jobs: Jobs, tmp_path: Path) -> None:
    async with served(db, tmp_path) as service:
        get = service.client.get
        assert (await get("/health/live")).json()["status"] == "alive"
        assert (await get("/health/ready")).json()["checks"] == {"database": "ok", "models": "ok"}
        await service.single(picture(), jobs["detect"].id)
        await get("/no/such/page")
        text = (await get("/metrics")).text
        await service.state.admission.drain(0.1, settle_s=0.0)
        draining = await get("/health/ready")
        assert (draining.status_code, draining.json()["code"]) == (503, "DRAINING")
        rejected = await service.single(picture(), jobs["detect"].id)
        assert (rejected.status_code, rejected.json()["code"]) == (503, "DRAINING")
    assert 'snellen_requests_total{route="/inference/single",status="200"} 1.0' in text
    assert 'snellen_requests_total{route="other",status="404"} 1.0' in text
    assert f'training_job_id="{jobs["detect"].id}"' in text
    assert "snellen_requests_running 0.0" in text


async def test_the_service_is_ready_when_all_models_of_preload_are_loaded(
    db: Database, jobs: Jobs, tmp_path: Path
) -> None:
    good: dict[str, Any] = {
        "model": {"preload": [{"job": "tiny-detect"}, {"job": jobs["pose"].id}]}
    }
    async with served(db, tmp_path, **good) as service:
        for _ in range(400):
            ready = await service.client.get("/health/ready")
            if ready.status_code == 200:
                break
            assert ready.json()["code"] == "LOADING"
            await asyncio.sleep(0.02)
        assert ready.status_code == 200
        assert len(service.backend.loaded) == 2
    async with served(db, tmp_path, model={"preload": [{"job": "no such"}]}) as service:
        await asyncio.sleep(0.1)
        assert (await service.client.get("/health/ready")).status_code == 503


async def test_docs_need_no_other_server(db: Database, tmp_path: Path) -> None:
    async with served(db, tmp_path) as service:
        get = service.client.get
        page = await get("/docs")
        assert "text/html" in page.headers["content-type"]
        assert "http" not in page.text
        policy = page.headers["content-security-policy"]
        assert "script-src 'self'" in policy
        for name in ("swagger-ui-bundle.js", "swagger-ui.css", "start.js"):
            assert (await get(f"/docs/assets/{name}")).status_code == 200
        for name in ("..%2f..%2fconsts.py", "favicon.png", "x"):
            assert (await get(f"/docs/assets/{name}")).status_code == 404
        document = (await get("/openapi.json")).json()
    single = document["paths"]["/inference/single"]["post"]
    form = single["requestBody"]["content"]["multipart/form-data"]["schema"]
    assert form["required"] == ["image"]
    assert {"training_job_id", "checkpoint", "confidence", "visualize", "record"} < set(
        form["properties"]
    )
    statuses = {400, 401, 403, 404, 408, 409, 413, 415, 422, 500, 503, 507}
    assert {str(status) for status in statuses} < set(single["responses"])


async def test_keys_are_required_if_any_are_set(db: Database, jobs: Jobs, tmp_path: Path) -> None:
    async with served(db, tmp_path, keys=["first", "second"], loopback=False) as service:
        get = service.client.get
        for path in ("/health/live", "/health/ready"):
            assert (await get(path)).status_code == 200
        for path in ("/metrics", "/docs", "/openapi.json", "/inference/training-jobs", "/nope"):
            rejected = await get(path)
            assert (rejected.status_code, rejected.json()["code"]) == (401, "API_KEY"), path
            assert rejected.headers["www-authenticate"] == "Bearer"
        for headers in (
            {"X-API-Key": "first"},
            {"Authorization": "Bearer second"},
            {"Authorization": "bearer  second"},
        ):
            assert (await get("/metrics", headers=headers)).status_code == 200
        for headers in (
            {"X-API-Key": "third"},
            {"X-API-Key": ""},
            {"Authorization": "Basic second"},
            {"Authorization": "Bearer first,second"},
        ):
            assert (await get("/metrics", headers=headers)).status_code == 401
        response = await service.single(picture(), jobs["detect"].id)
        assert response.status_code == 401


async def test_unknown_hosts_and_origins_are_rejected(db: Database, tmp_path: Path) -> None:
    path = "/inference/training-jobs"
    async with served(db, tmp_path, security={"cors_origins": ["https://app.test"]}) as service:
        get = service.client.get
        for host in ("localhost:8000", "127.0.0.1", "[::1]:8000"):
            assert (await get(path, headers={"Host": host})).status_code == 200
        for host in ("evil.example", "localhost.evil.example", "", "[::1", "127.0.0.1.nip.io"):
            rejected = await get(path, headers={"Host": host})
            assert (rejected.status_code, rejected.json()["code"]) == (400, "HOST"), host
        for origin in ("http://evil.example", "null", "http://localhost:9999"):
            rejected = await get(path, headers={"Origin": origin})
            assert (rejected.status_code, rejected.json()["code"]) == (403, "ORIGIN"), origin
        own = await get(path, headers={"Origin": "http://localhost"})
        assert own.status_code == 200
        assert "access-control-allow-origin" not in own.headers
        allowed = await get(path, headers={"Origin": "https://app.test"})
        assert allowed.headers["access-control-allow-origin"] == "https://app.test"


async def test_allowed_hosts_can_be_configured(db: Database, tmp_path: Path) -> None:
    hosts = {"allowed_hosts": ["api.example.com"]}
    async with served(db, tmp_path, security=hosts, keys=["a"], loopback=False) as service:
        get = service.client.get
        for host, status in (("api.example.com", 200), ("localhost", 200), ("other.example", 400)):
            response = await get("/health/live", headers={"Host": host})
            assert response.status_code == status, host


async def test_every_response_has_the_security_headers(db: Database, tmp_path: Path) -> None:
    async with served(db, tmp_path) as service:
        responses = [
            await service.client.get(path)
            for path in ("/health/live", "/docs", "/nope", "/metrics")
        ]
        responses.append(await service.client.put("/inference/single"))
    assert [response.status_code for response in responses] == [200, 200, 404, 200, 405]
    for response in responses:
        assert response.headers["x-content-type-options"] == "nosniff"
        assert response.headers["x-frame-options"] == "DENY"
        assert response.headers["referrer-policy"] == "no-referrer"
        assert "default-src 'none'" in response.headers["content-security-policy"]
        assert "server" not in response.headers


async def test_an_internal_error_reveals_nothing(
    db: Database, jobs: Jobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with served(db, tmp_path) as service:

        def broken(*_: object) -> None:
            raise RuntimeError("/secret/path")

        monkeypatch.setattr(service.state.resolver, "resolve", broken)
        response = await service.single(picture(), jobs["detect"].id)
    assert (response.status_code, response.json()["code"]) == (500, "INTERNAL")
    assert "secret" not in response.text


def test_keys_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SNELLEN_API_KEYS", "a, b\nc,")
    assert api_keys() == ("a", "b", "c")
    monkeypatch.delenv("SNELLEN_API_KEYS")
    assert api_keys() == ()


def test_loopback_addresses_are_recognised() -> None:
    assert all(is_loopback(host) for host in ("localhost", "127.0.0.1", "127.8.9.1", "::1"))
    assert not any(is_loopback(host) for host in ("0.0.0.0", "::", "192.168.1.2", "example.com"))


async def test_removed_run_tables_are_noticed_and_restored_ones_are_used(tmp_path: Path) -> None:
    file = tmp_path / "runs.db"
    db = Database.open(f"sqlite:///{file}")
    async with served(db, tmp_path) as service:
        assert (await service.client.get("/health/ready")).status_code == 200
        file.rename(tmp_path / "gone.db")
        for path, code in (
            ("/health/ready", "DATABASE"),
            ("/inference/training-jobs", "DATABASE_GONE"),
        ):
            response = await service.client.get(path)
            assert (response.status_code, response.json()["code"]) == (503, code)
            assert str(tmp_path) not in response.text
        (tmp_path / "gone.db").rename(file)
        assert (await service.client.get("/health/ready")).status_code == 200
        assert (await service.client.get("/inference/training-jobs")).status_code == 200
