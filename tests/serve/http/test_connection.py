"""What a connection may do: so many, heads so large, requests so slow, and nothing but HTTP."""

from __future__ import annotations

import asyncio
import json

import pytest

from snellen.serve.http import connection
from tests.serve.http.speaking import Counting, Spoken, connect, listening, request

pytestmark = pytest.mark.anyio
HEAD = b"POST / HTTP/1.1\r\nHost: localhost\r\n"


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "_GRACE_S", 0.0)


def told(answer: Spoken) -> tuple[int, str]:
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["connection"] == "close"
    body = json.loads(answer.body)
    assert body["status"] == answer.status
    return answer.status, body["code"]


async def test_more_connections_than_may_be_are_told_to_come_again() -> None:
    async with listening(Counting(), max_connections=2, retry_after_s=7) as listener:
        first, second, third = [await connect(listener) for _ in range(3)]
        refused = await third.hear()
        assert told(refused) == (503, "OVERLOADED")
        assert refused.headers["retry-after"] == "7"
        assert await third.ended()
        for client in (first, second):
            client.say(request())
            assert (await client.hear()).status == 200
        second.close()
        await asyncio.sleep(0.1)
        fourth = await connect(listener)
        fourth.say(request())
        assert (await fourth.hear()).status == 200
        for client in (first, fourth):
            client.close()


@pytest.mark.parametrize(
    "parts",
    [
        pytest.param([b"X-A: 1\r\n" * 2000] * 5, id="many-headers"),
        pytest.param([b"X-A: "] + [b"a" * 10_000] * 7, id="a-long-header"),
    ],
)
async def test_a_head_that_does_not_end_is_refused(parts: list[bytes]) -> None:
    async with listening(Counting()) as listener:
        client = await connect(listener)
        client.say(HEAD)
        for part in parts:
            await asyncio.sleep(0.01)
            client.say(part)
        assert told(await client.hear()) == (431, "HEAD_LIMIT")


async def test_a_body_is_not_taken_for_a_head() -> None:
    body = bytes(200_000)
    both = request(body=body) + HEAD
    async with listening(Counting()) as listener:
        client = await connect(listener)
        client.say(both)
        assert (await client.hear()).body == b"200000 bytes"
        client.say(b"Content-Length: 1\r\n\r\nx")
        assert (await client.hear()).body == b"1 bytes"
        client.close()


@pytest.mark.parametrize("data", [b"\x16\x03\x01\x02\x00\x01", b"GET\r\n\r\n", b"hello \r\n\r\n"])
async def test_what_is_no_http_is_told_so(data: bytes) -> None:
    async with listening(Counting()) as listener:
        client = await connect(listener)
        client.say(data)
        assert told(await client.hear()) == (400, "BAD_REQUEST")
        assert await client.ended()


@pytest.mark.parametrize("data", [b"", b"POST / HT", HEAD, request(body=bytes(9))[:-1]])
async def test_who_does_not_get_on_is_hung_up_on(data: bytes) -> None:
    async with listening(Counting(), body_timeout_s=0.3) as listener:
        client = await connect(listener)
        client.say(data)
        assert await client.ended()


async def test_a_byte_now_and_then_is_not_getting_on() -> None:
    async with listening(Counting(), body_timeout_s=0.5) as listener:
        client = await connect(listener)
        client.say(HEAD)
        begin = asyncio.get_running_loop().time()
        while not client.reader.at_eof() and asyncio.get_running_loop().time() < begin + 5:
            client.say(b"X")
            await asyncio.sleep(0.05)
        assert 0.3 < asyncio.get_running_loop().time() - begin < 4


async def test_an_idle_connection_is_kept_longer_than_a_request_may_take() -> None:
    async with listening(Counting(), body_timeout_s=0.2) as listener:
        client = await connect(listener)
        client.say(request())
        await client.hear()
        await asyncio.sleep(0.5)
        client.say(request())
        assert (await client.hear()).status == 200
        client.close()


async def test_after_a_refusal_the_rest_of_a_body_is_read_and_the_connection_goes_on() -> None:
    app = Counting()
    async with listening(app) as listener:
        client = await connect(listener)
        client.say(request("/refuse", bytes(500_000)))
        assert (await client.hear()).status == 503
        client.say(request("/", b"abc"))
        assert (await client.hear()).body == b"3 bytes"
        client.close()
    assert app.requests == ["/refuse", "/"]


async def test_after_a_refusal_a_body_without_end_ends_its_connection() -> None:
    async with listening(Counting(), body_timeout_s=0.5) as listener:
        client = await connect(listener)
        head = "POST /refuse HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
        client.say(head.encode())
        assert (await client.hear()).status == 503
        begin = asyncio.get_running_loop().time()
        while not client.reader.at_eof() and asyncio.get_running_loop().time() < begin + 5:
            client.say(b"4\r\nabcd\r\n")
            await asyncio.sleep(0.02)
        assert asyncio.get_running_loop().time() - begin < 4


async def test_two_requests_at_once_are_answered_in_order() -> None:
    async with listening(Counting()) as listener:
        client = await connect(listener)
        client.say(request(body=b"a") + request(body=b"bc"))
        assert [(await client.hear()).body for _ in range(2)] == [b"1 bytes", b"2 bytes"]
        client.close()


async def test_no_other_protocol_is_taken_up() -> None:
    async with listening(Counting()) as listener:
        client = await connect(listener)
        client.say(request(Upgrade="websocket", Connection="Upgrade"))
        assert (await client.hear()).status in (200, 400)
        client.close()
