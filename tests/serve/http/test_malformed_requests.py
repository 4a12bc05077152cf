"""Ambiguous requests (request smuggling), and damaged HTTP."""

from __future__ import annotations

import asyncio
import random

import pytest

from snellen.serve.http import connection
from tests.serve.http.raw_client import CountingApp, connect, listening, request

pytestmark = pytest.mark.anyio

SMUGGLED = {
    "both lengths": b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /x",
    "two lengths": b"Content-Length: 1\r\nContent-Length: 5\r\n\r\nabcde",
    "a negative length": b"Content-Length: -1\r\n\r\n",
    "a length with a sign": b"Content-Length: +5\r\n\r\nabcde",
    "a length in hexadecimal": b"Content-Length: 0x5\r\n\r\nabcde",
    "chunked, and then not": b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    "a space before the colon": b"Content-Length : 5\r\n\r\nabcde",
    "a folded header": b"X-A: b\r\n c: d\r\nContent-Length: 0\r\n\r\n",
    "an invalid chunk length": b"Transfer-Encoding: chunked\r\n\r\nzz\r\nab\r\n",
    "a NUL in a header": b"X-A: a\x00b\r\nContent-Length: 0\r\n\r\n",
}


@pytest.mark.parametrize("what", SMUGGLED)
async def test_ambiguous_requests_are_rejected_or_read_as_one(what: str) -> None:
    """Behind a reverse proxy, a hidden second request would be taken for another client's."""
    app = CountingApp()
    async with listening(app) as listener:
        client = await connect(listener)
        client.send(b"POST / HTTP/1.1\r\nHost: localhost\r\n" + SMUGGLED[what])
        response = await client.receive()
        if response.status != 200:
            assert response.status == 400
            assert await client.closed_by_server()
        client.close()
    assert "/x" not in app.requests
    assert len(app.requests) <= 1


def damaged(data: bytes, randomness: random.Random) -> bytes:
    """Change, repeat, delete or insert bytes of a request."""
    found = bytearray(data)
    for _ in range(randomness.randint(1, 6)):
        at = randomness.randrange(len(found))
        length = randomness.choice((1, 1, 2, 8, 40))
        kind = randomness.randrange(4)
        if kind == 0:
            found[at : at + length] = randomness.randbytes(length)
        elif kind == 1:
            found[at:at] = found[at : at + length]
        elif kind == 2 and len(found) > length + 1:
            del found[at : at + length]
        else:
            odd = (b"\r\n", b"\n", b"\0", b":", b" ", b"%", b"\xff", b"chunked", b"HTTP/2.0")
            found[at:at] = randomness.choice(odd)
    return bytes(found)


async def test_damaged_requests_do_not_affect_the_server(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connection, "_GRACE_S", 0.0)
    faults: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: faults.append(context))
    intact = request("/a/b?c=d", b"4\r\nabcd\r\n0\r\n\r\n", Expect="100-continue", Cookie="a=b")
    chunked = intact.replace(b"Content-Length: 14", b"Transfer-Encoding: chunked")
    randomness = random.Random(7)

    async def attack(data: bytes) -> bytes:
        client = await connect(listener)
        client.send(data)
        client.writer.write_eof()
        try:
            async with asyncio.timeout(5):
                return await client.reader.read()
        except ConnectionResetError:
            return b""
        finally:
            client.close()

    async with listening(CountingApp(), body_timeout_s=1.0) as listener:
        for _ in range(20):
            requests = [
                damaged(randomness.choice((intact, chunked)), randomness) for _ in range(20)
            ]
            responses = await asyncio.gather(*map(attack, requests))
            for data, response in zip(requests, responses, strict=True):
                assert response == b"" or response.startswith(b"HTTP/1.1 "), (data, response)
        client = await connect(listener)
        client.send(request(body=b"abc"))
        assert (await client.receive()).body == b"3 bytes"
        client.close()
    assert faults == []
