"""The access log: one line per request, ids of requests, and no secrets."""

from __future__ import annotations

import json
import logging
import re
from pathlib import Path
from typing import Any

import pytest

from snellen.serve.api.middleware.access_log import redacted_query
from snellen.serve.config import ServeConfig
from snellen.serve.logs import (
    ACCESS_LOGGER,
    AccessEntry,
    AccessFormatter,
    SharedRotatingFile,
    log_requests,
    log_to_file,
)
from snellen.store.sql.database import Database
from tests.serve.conftest import AccessLines
from tests.serve.local_service import served

KEY = "first-secret-key"
anyio = pytest.mark.anyio


@anyio
async def test_every_request_has_one_line(
    db: Database, tmp_path: Path, access_log: AccessLines
) -> None:
    key = {"X-API-Key": KEY}
    requests: list[tuple[str, str, dict[str, str]]] = [
        ("GET", "/health/live", {}),
        ("GET", "/inference/training-jobs?limit=5", key),
        ("HEAD", "/inference/training-jobs", key),
        ("GET", "/inference/training-jobs", {}),
        ("GET", "/inference/training-jobs", {"X-API-Key": "wrong"}),
        ("GET", "/health/live", {"Host": "other.example.com"}),
        ("PUT", "/health/live", key),
        ("POST", "/inference/single", {"Authorization": "Bearer second:run"}),
        ("POST", "/inference/single", {"Authorization": "Bearer second"}),
    ]
    async with served(db, tmp_path, keys=[KEY, "second:run"]) as service:
        responses = [
            await service.client.request(method, url, headers=headers)
            for method, url, headers in requests
        ]
    found = access_log()
    assert [one["status"] for one in found] == [200, 200, 200, 401, 401, 400, 405, 401, 400]
    assert [one["status"] for one in found] == [one.status_code for one in responses]
    assert [one["key"] for one in found] == [
        *(None, "key-1", "key-1", None, None, None, "key-1", None, "key-2")
    ]
    for one, response, (method, url, _) in zip(found, responses, requests, strict=True):
        assert (one["method"], one["path"]) == (method, url.partition("?")[0])
        assert one["bytes_sent"] == len(response.content)
        assert one["request_id"] == response.headers["x-request-id"]
        assert one["client"] == "127.0.0.1"
        assert one["duration_ms"] > 0
        assert re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", one["time"])
    assert len({one["request_id"] for one in found}) == len(found)
    assert found[1]["query"] == "limit=5"
    assert KEY not in str(found)


@anyio
async def test_a_valid_id_of_the_client_is_kept(db: Database, tmp_path: Path) -> None:
    valid = [
        "a",
        "0af7651916cd43dd8448eb211c80319c",
        "Root=1-67891233-abc;a:b/c+d@e.f_g",
        "x" * 128,
    ]
    invalid = ["", " ", "a b", "x" * 129, "é", "a,b", 'a"', "a\tb", "<b>"]
    async with served(db, tmp_path) as service:
        for text in (*valid, *invalid):
            headers = {b"X-Request-ID": text.encode("latin-1")}
            response = await service.client.get("/health/live", headers=headers)
            (found,) = response.headers.get_list("x-request-id")
            assert (found == text) == (text in valid), text
            assert re.fullmatch(r"[!-~]{1,128}", found)
        twice = [("X-Request-ID", "a"), ("X-Request-ID", "b")]
        response = await service.client.get("/health/live", headers=twice)
        assert response.headers["x-request-id"] not in ("a", "b")


@anyio
async def test_a_proxy_of_ray_serve_adds_the_header_itself(db: Database, tmp_path: Path) -> None:
    from snellen.serve.api.app import create_app

    async with served(db, tmp_path) as service:
        app = create_app(service.state, keys=(), loopback=True, proxied=True)
        sent: list[Any] = []

        async def send(message: Any) -> None:
            sent.append(message)

        scope = {
            **{"type": "http", "method": "GET", "path": "/health/live", "query_string": b""},
            "headers": [(b"host", b"localhost"), (b"x-request-id", b"a")],
        }
        await app(scope, None, send)  # type: ignore[arg-type]
    assert sent[0]["status"] == 200
    assert b"x-request-id" not in dict(sent[0]["headers"])


@anyio
async def test_messages_in_the_log_name_the_request(
    db: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("no such luck")

    monkeypatch.setattr("snellen.serve.api.routes.training_jobs.list_training_jobs", broken)
    logger = logging.getLogger("snellen.serve")
    log_to_file(ServeConfig(output_dir=str(tmp_path)))
    try:
        async with served(db, tmp_path) as service:
            headers = {"X-Request-ID": "my-id"}
            response = await service.client.get("/inference/training-jobs", headers=headers)
    finally:
        for handler in [one for one in logger.handlers if isinstance(one, SharedRotatingFile)]:
            logger.removeHandler(handler)
            handler.close()
    assert (response.status_code, response.headers["x-request-id"]) == (500, "my-id")
    text = (tmp_path / "serve.log").read_text()
    assert re.search(r"ERROR \d+ my-id unhandled exception at /inference/training-jobs", text)


@pytest.mark.parametrize(
    ("query", "shown"),
    {
        "": "",
        "a=1&b=2": "a=1&b=2",
        "api_key=abc&a=1": "api_key=***&a=1",
        "X-API-Key=abc": "X-API-Key=***",
        "access_token=a.b.c": "access_token=***",
        "api%5Fkey=abc&pass%77ord=x": "api%5Fkey=***&pass%77ord=***",
        "token": "token",
        "path=s3://me:pw@host/a": "path=s3://***@host/a",
        "path=s3%3A%2F%2Fme%3Apw%40host%2Fa": "path=s3%3A%2F%2F***%40host%2Fa",
        "text=a@b": "text=a@b",
    }.items(),
)
def test_secrets_in_queries_are_redacted(query: str, shown: str) -> None:
    assert redacted_query(query) == shown


def as_text(**fields: Any) -> str:
    values = {"client": "::1", "method": "GET", "path": "/a", "query": "", "request_id": "id"}
    record = logging.makeLogRecord({"entry": AccessEntry(**{**values, **fields})})
    return AccessFormatter(as_json=False).format(record)


def test_the_text_has_the_documented_columns() -> None:
    line = as_text(
        query="b=1", key="key-2", status=200, bytes_received=3, bytes_sent=40, duration_ms=5.06
    )
    time, rest = line.split(" ", 1)
    assert len(time) == 24
    assert rest == '::1 key-2 "GET /a?b=1" 200 3 40 5.1 id'
    assert as_text(client="", method="", path="").split(" ", 1)[1] == '- - "-" 0 0 0 0.0 id'


def test_clients_cannot_forge_lines() -> None:
    line = as_text(path='/a" 200\n2026 \x1b[0m\\ÿ')
    assert line.count('"') == 2
    assert r'"GET /a\x22 200\x0a2026 \x1b[0m\x5c\xff"' in line


def test_the_log_has_the_configured_format(tmp_path: Path) -> None:
    logger = logging.getLogger(ACCESS_LOGGER)
    for kind in ("none", "text", "json"):
        folder = tmp_path / kind
        log_requests(ServeConfig(output_dir=str(folder), access_log=kind))
        entry = AccessEntry("127.0.0.1", "GET", "/a", "", "id")
        logger.info("", extra={"entry": entry})
        for handler in [one for one in logger.handlers if isinstance(one, SharedRotatingFile)]:
            logger.removeHandler(handler)
            handler.close()
    logger.setLevel(logging.NOTSET)
    logger.propagate = True
    assert not (tmp_path / "none").exists()
    assert '"GET /a"' in (tmp_path / "text" / "access.log").read_text()
    assert json.loads((tmp_path / "json" / "access.log").read_text())["path"] == "/a"


def test_several_processes_rotate_one_file(tmp_path: Path) -> None:
    """Each process has its own handler; no line is lost while files are kept."""
    handlers = [SharedRotatingFile(tmp_path / "a.log", 1000) for _ in range(3)]
    for number in range(60):
        handlers[number % 3].emit(logging.makeLogRecord({"msg": f"{number:3d} {'x' * 40}"}))
    for handler in handlers:
        handler.close()
    files = sorted(tmp_path.glob("a.log*"))
    assert [path.name for path in files] == ["a.log", "a.log.1", "a.log.2"]
    assert all(path.stat().st_size <= 1045 for path in files)
    numbers = [int(line[:3]) for path in reversed(files) for line in path.read_text().splitlines()]
    assert sorted(numbers) == list(range(60))
