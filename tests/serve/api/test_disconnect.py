"""Work for a client goes on until it is done or nobody waits for it."""

from __future__ import annotations

import asyncio

import pytest
from starlette.requests import ClientDisconnect
from starlette.types import Message

from snellen.serve.api.disconnect import unless_hung_up

pytestmark = pytest.mark.anyio


class Client:
    """Says nothing until it goes."""

    def __init__(self) -> None:
        self.gone = asyncio.Event()
        self.listeners = 0

    async def receive(self) -> Message:
        self.listeners += 1
        try:
            await self.gone.wait()
        finally:
            self.listeners -= 1
        return {"type": "http.disconnect"}


async def test_the_result_of_who_stays() -> None:
    client = Client()

    async def work() -> int:
        await asyncio.sleep(0.01)
        assert client.listeners == 1
        return 7

    assert await unless_hung_up(client.receive, work()) == 7
    assert client.listeners == 0


async def test_an_error_is_its_own() -> None:
    async def work() -> None:
        raise KeyError("x")

    with pytest.raises(KeyError):
        await unless_hung_up(Client().receive, work())


async def test_who_goes_ends_the_work_and_what_it_holds_is_free_when_it_is_told() -> None:
    client = Client()
    held = ["slot"]

    async def work() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0.05)  # such as a thread that cannot be stopped
            held.clear()

    asyncio.get_running_loop().call_later(0.02, client.gone.set)
    with pytest.raises(ClientDisconnect):
        await unless_hung_up(client.receive, work())
    assert held == []


async def test_who_is_cancelled_leaves_nothing_running() -> None:
    client = Client()
    ended = asyncio.Event()

    async def work() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            ended.set()

    task = asyncio.create_task(unless_hung_up(client.receive, work()))
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended.is_set()
    assert client.listeners == 0
