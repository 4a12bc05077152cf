"""Requests between two processes over a Unix domain socket."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from snellen.serve.inference.channel import (
    ChannelClient,
    ChannelServer,
    ConnectionEnded,
    NotConnected,
)

pytestmark = pytest.mark.anyio


@pytest.fixture(params=[False, True], ids=["asyncio", "uvloop"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, bool]]:
    """Ray Serve runs on uvloop, whose transports and servers differ."""
    return "asyncio", {"use_uvloop": request.param}


@asynccontextmanager
async def connected(tmp_path: Path, handler: Any) -> AsyncIterator[ChannelClient]:
    server = ChannelServer(tmp_path / "s", handler)
    await server.start()
    client = ChannelClient(tmp_path / "s")
    yield client
    client.close()
    await server.close()


async def test_replies_reach_their_requests_in_any_order(tmp_path: Path) -> None:
    async def handle(content: tuple[int, bytes]) -> tuple[int, int]:
        number, data = content
        await asyncio.sleep(0.001 * (7 * number % 5))
        return number, len(data)

    async with connected(tmp_path, handle) as client:
        sizes = [0, 1, 65_536, 300_000, 3_000_000] * 8
        found = await asyncio.gather(
            *(client.call((number, bytes(size))) for number, size in enumerate(sizes))
        )
    assert found == list(enumerate(sizes))


async def test_cancelling_a_call_cancels_its_request(tmp_path: Path) -> None:
    ended: list[str] = []

    async def handle(content: str) -> str:
        try:
            await asyncio.sleep(0 if content == "short" else 60)
        except asyncio.CancelledError:
            ended.append(content)
            raise
        return content

    async with connected(tmp_path, handle) as client:
        task = asyncio.create_task(client.call("long"))
        assert await client.call("short") == "short"
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await client.call("short") == "short"
    assert ended == ["long"]


async def test_an_error_of_the_handler_fails_its_request_alone(tmp_path: Path) -> None:
    async def handle(content: int) -> float:
        return 1 / content

    async with connected(tmp_path, handle) as client:
        with pytest.raises(RuntimeError, match="ZeroDivisionError: division by zero"):
            await client.call(0)
        assert await client.call(4) == 0.25


async def test_a_request_that_the_handler_cancels_fails(tmp_path: Path) -> None:
    async def handle(_: int) -> None:
        raise asyncio.CancelledError

    async with connected(tmp_path, handle) as client:
        with pytest.raises(RuntimeError, match="cancelled"):
            await asyncio.wait_for(client.call(1), 5)


async def test_the_client_connects_again_to_a_new_process(tmp_path: Path) -> None:
    client = ChannelClient(tmp_path / "s")
    with pytest.raises(NotConnected):
        await client.call(1)

    async def never(_: int) -> None:
        await asyncio.sleep(60)

    connections: list[asyncio.StreamWriter] = []

    async def end(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(writer)
        await reader.read(1)
        writer.close()

    dying = await asyncio.start_unix_server(end, str(tmp_path / "s"))
    with pytest.raises(ConnectionEnded):
        await client.call(1)
    dying.close()
    with pytest.raises(NotConnected):
        await client.call(1)

    async def double(content: int) -> int:
        return 2 * content

    server = ChannelServer(tmp_path / "s", double)
    await server.start()
    assert await asyncio.gather(*(client.call(number) for number in range(5))) == [0, 2, 4, 6, 8]
    client.close()
    await server.close()
