"""Work for a client is cancelled when the client disconnects."""

from __future__ import annotations

import asyncio

import pytest
from starlette.requests import ClientDisconnect
from starlette.types import Message

from snellen.serve.api.middleware.disconnect import cancel_on_disconnect

pytestmark = pytest.mark.anyio


class Client:
    """A client that sends nothing until it disconnects."""

    def __init__(self) -> None:
        self.disconnected = asyncio.Event()
        self.listeners = 0

    async def receive(self) -> Message:
        self.listeners += 1
        try:
            await self.disconnected.wait()
        finally:
            self.listeners -= 1
        return {"type": "http.disconnect"}


async def test_a_connected_client_gets_the_result() -> None:
    client = Client()

    async def work() -> int:
        await asyncio.sleep(0.01)
        assert client.listeners == 1
        return 7

    assert await cancel_on_disconnect(client.receive, work()) == 7
    assert client.listeners == 0


async def test_an_error_of_the_work_propagates() -> None:
    async def work() -> None:
        raise KeyError("x")

    with pytest.raises(KeyError):
        await cancel_on_disconnect(Client().receive, work())


async def test_disconnecting_cancels_the_work_and_waits_until_it_has_ended() -> None:
    client = Client()
    held = ["slot"]

    async def work() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0.05)  # like a thread that cannot be interrupted
            held.clear()

    asyncio.get_running_loop().call_later(0.02, client.disconnected.set)
    with pytest.raises(ClientDisconnect):
        await cancel_on_disconnect(client.receive, work())
    assert held == []


async def test_cancelling_leaves_nothing_running() -> None:
    client = Client()
    ended = asyncio.Event()

    async def work() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            ended.set()

    task = asyncio.create_task(cancel_on_disconnect(client.receive, work()))
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended.is_set()
    assert client.listeners == 0
