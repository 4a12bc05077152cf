"""Limits on connections: their number, header size, duration, and nothing but HTTP."""

from __future__ import annotations

import asyncio
import json

import pytest

from snellen.serve.http import connection
from tests.serve.conftest import AccessLines
from tests.serve.http.raw_client import CountingApp, RawResponse, connect, listening, request

pytestmark = [pytest.mark.anyio, pytest.mark.slow]
HEAD = b"POST / HTTP/1.1\r\nHost: localhost\r\n"


@pytest.fixture(autouse=True)
def _no_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "_GRACE_S", 0.0)


def checked(response: RawResponse) -> tuple[int, str]:
    assert response.headers["content-type"] == "application/problem+json"
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.headers["connection"] == "close"
    assert len(response.headers["x-request-id"]) == 32
    body = json.loads(response.body)
    assert body["status"] == response.status
    return response.status, body["code"]


async def test_connections_above_the_limit_get_503() -> None:
    async with listening(CountingApp(), max_connections=2, retry_after_s=7) as listener:
        first, second, third = [await connect(listener) for _ in range(3)]
        rejected = await third.receive()
        assert checked(rejected) == (503, "OVERLOADED")
        assert rejected.headers["retry-after"] == "7"
        assert await third.closed_by_server()
        for client in (first, second):
            client.send(request())
            assert (await client.receive()).status == 200
        second.close()
        await asyncio.sleep(0.1)
        fourth = await connect(listener)
        fourth.send(request())
        assert (await fourth.receive()).status == 200
        for client in (first, fourth):
            client.close()


@pytest.mark.parametrize(
    "parts",
    [
        pytest.param([b"X-A: 1\r\n" * 2000] * 5, id="many-headers"),
        pytest.param([b"X-A: "] + [b"a" * 10_000] * 7, id="a-long-header"),
    ],
)
async def test_endless_headers_are_rejected(parts: list[bytes]) -> None:
    async with listening(CountingApp()) as listener:
        client = await connect(listener)
        client.send(HEAD)
        for part in parts:
            await asyncio.sleep(0.01)
            client.send(part)
        assert checked(await client.receive()) == (431, "HEAD_LIMIT")


@pytest.mark.parametrize(
    "head",
    [
        pytest.param(b"X-A: " + b"a" * 70_000 + b"\r\n", id="a-long-header"),
        pytest.param(b"X-A: 1\r\n" * 10_000, id="many-headers"),
    ],
)
async def test_a_large_head_is_rejected_even_in_one_packet(head: bytes) -> None:
    async with listening(CountingApp()) as listener:
        for rest in (b"\r\n", b"Content-Length: 3\r\n\r\nabc", b"\r\n" + request()):
            client = await connect(listener)
            client.send(HEAD + head + rest)
            assert checked(await client.receive()) == (431, "HEAD_LIMIT")
            assert await client.closed_by_server()


async def test_a_large_url_is_rejected() -> None:
    async with listening(CountingApp()) as listener:
        client = await connect(listener)
        client.send(HEAD.replace(b" / ", b" /?" + b"a" * 70_000 + b" ", 1) + b"\r\n")
        assert checked(await client.receive()) == (431, "HEAD_LIMIT")


async def test_a_body_is_not_mistaken_for_headers() -> None:
    body = bytes(200_000)
    both = request(body=body) + HEAD
    async with listening(CountingApp()) as listener:
        client = await connect(listener)
        client.send(both)
        assert (await client.receive()).body == b"200000 bytes"
        client.send(b"Content-Length: 1\r\n\r\nx")
        assert (await client.receive()).body == b"1 bytes"
        client.close()


@pytest.mark.parametrize("data", [b"\x16\x03\x01\x02\x00\x01", b"GET\r\n\r\n", b"hello \r\n\r\n"])
async def test_data_that_is_not_http_gets_400(data: bytes) -> None:
    async with listening(CountingApp()) as listener:
        client = await connect(listener)
        client.send(data)
        assert checked(await client.receive()) == (400, "BAD_REQUEST")
        assert await client.closed_by_server()


async def test_requests_that_do_not_reach_the_application_are_logged(
    access_log: AccessLines,
) -> None:
    large = b"GET /a?key=b HTTP/1.1\r\nX-Request-ID: me\r\nX: " + b"a" * 70_000 + b"\r\n\r\n"
    async with listening(CountingApp(), max_connections=1) as listener:
        for data in (b"hello \r\n\r\n", large, b"GET /b HTTP/1.1\r\nX-A: b\x00\r\n\r\n"):
            client = await connect(listener)
            client.send(data)
            await client.receive()
            client.close()
            await asyncio.sleep(0.02)
        first, second = await connect(listener), await connect(listener)
        await second.receive()
        first.close()
    found = [(one["status"], one["method"], one["path"], one["query"]) for one in access_log()]
    assert found == [
        (400, "", "", ""),
        (431, "GET", "/a", "key=***"),
        (400, "GET", "/b", ""),
        (503, "", "", ""),
    ]
    assert [one["request_id"] == "me" for one in access_log()] == [False, True, False, False]
    assert all(one["client"] == "127.0.0.1" for one in access_log())


@pytest.mark.parametrize("data", [b"", b"POST / HT", HEAD, request(body=bytes(9))[:-1]])
async def test_stalled_requests_are_closed(data: bytes) -> None:
    async with listening(CountingApp(), body_timeout_s=0.3) as listener:
        client = await connect(listener)
        client.send(data)
        assert await client.closed_by_server()


async def test_single_bytes_do_not_extend_the_time_limit() -> None:
    async with listening(CountingApp(), body_timeout_s=0.5) as listener:
        client = await connect(listener)
        client.send(HEAD)
        begin = asyncio.get_running_loop().time()
        while not client.reader.at_eof() and asyncio.get_running_loop().time() < begin + 5:
            client.send(b"X")
            await asyncio.sleep(0.05)
        assert 0.3 < asyncio.get_running_loop().time() - begin < 4


async def test_idle_connections_outlive_the_request_timeout() -> None:
    async with listening(CountingApp(), body_timeout_s=0.2) as listener:
        client = await connect(listener)
        client.send(request())
        await client.receive()
        await asyncio.sleep(0.5)
        client.send(request())
        assert (await client.receive()).status == 200
        client.close()


async def test_a_connection_is_usable_after_a_rejection() -> None:
    app = CountingApp()
    async with listening(app) as listener:
        client = await connect(listener)
        client.send(request("/reject", bytes(500_000)))
        assert (await client.receive()).status == 503
        client.send(request("/", b"abc"))
        assert (await client.receive()).body == b"3 bytes"
        client.close()
    assert app.requests == ["/reject", "/"]


async def test_an_endless_body_after_a_rejection_closes_the_connection() -> None:
    async with listening(CountingApp(), body_timeout_s=0.5) as listener:
        client = await connect(listener)
        head = "POST /reject HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
        client.send(head.encode())
        assert (await client.receive()).status == 503
        begin = asyncio.get_running_loop().time()
        while not client.reader.at_eof() and asyncio.get_running_loop().time() < begin + 5:
            client.send(b"4\r\nabcd\r\n")
            await asyncio.sleep(0.02)
        assert asyncio.get_running_loop().time() - begin < 4


async def test_pipelined_requests_are_answered_in_order() -> None:
    async with listening(CountingApp()) as listener:
        client = await connect(listener)
        client.send(request(body=b"a") + request(body=b"bc"))
        assert [(await client.receive()).body for _ in range(2)] == [b"1 bytes", b"2 bytes"]
        client.close()


async def test_protocol_upgrades_are_ignored() -> None:
    async with listening(CountingApp()) as listener:
        client = await connect(listener)
        client.send(request(Upgrade="websocket", Connection="Upgrade"))
        assert (await client.receive()).status in (200, 400)
        client.close()


@pytest.mark.parametrize(("path", "arrives"), [(b"/inference/batch?x=1", True), (b"/other", False)])
async def test_uploads_of_batches_have_more_time(path: bytes, arrives: bool) -> None:
    limits = {"body_timeout_s": 0.3, "upload_timeout_s": 30.0}
    async with listening(CountingApp(), **limits) as listener:
        client = await connect(listener)
        client.send(
            b"POST " + path + b" HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n\r\nab"
        )
        await asyncio.sleep(0.8)
        if not arrives:
            assert await client.closed_by_server()
            return
        client.send(b"cd")
        assert (await client.receive()).body == b"4 bytes"
        client.close()
