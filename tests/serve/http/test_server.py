"""An HTTP server that starts when its port is free, and ends without leaving anybody waiting."""

from __future__ import annotations

import asyncio
import socket

import pytest

from snellen.serve.config import LimitsConfig
from snellen.serve.http import server as listener_module
from snellen.serve.http.server import Listener
from tests.serve.http.speaking import Counting, connect, listening, request
from tests.serve.service import free_port

pytestmark = pytest.mark.anyio


async def test_requests_of_one_connection_are_answered_one_after_another() -> None:
    async with listening(Counting()) as listener:
        assert listener.alive
        client = await connect(listener)
        for count in (0, 3, 300_000):
            client.say(request(body=bytes(count)))
            answer = await client.hear()
            assert (answer.status, answer.body) == (200, f"{count} bytes".encode())
            assert "server" not in answer.headers
        client.close()
    assert not listener.alive


async def test_it_waits_for_a_port_that_its_predecessor_still_has() -> None:
    with socket.socket() as before:
        before.bind(("127.0.0.1", 0))
        before.listen()
        port = before.getsockname()[1]
        listener = Listener(Counting(), host="127.0.0.1", port=port, limits=LimitsConfig())
        starting = asyncio.create_task(listener.start())
        await asyncio.sleep(0.2)
        assert not starting.done()
    await starting
    client = await connect(listener)
    client.say(request())
    assert (await client.hear()).status == 200
    client.close()
    await listener.close()


async def test_a_port_that_stays_taken_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listener_module, "_BIND_S", 0.1)
    async with listening(Counting()) as first:
        host, port = first.address
        second = Listener(Counting(), host=host, port=port, limits=LimitsConfig())
        with pytest.raises(OSError, match="in use"):
            await second.start()
        assert not second.alive


async def test_processes_may_share_a_port() -> None:
    port = free_port()
    apps = [Counting(), Counting()]
    listeners = [
        Listener(app, host="127.0.0.1", port=port, limits=LimitsConfig(), shared=True)
        for app in apps
    ]
    for listener in listeners:
        await listener.start()
    for _ in range(64):
        client = await connect(listeners[0])
        client.say(request())
        assert (await client.hear()).status == 200
        client.close()
    for listener in listeners:
        await listener.close()
    assert sum(len(app.requests) for app in apps) == 64
    assert all(app.requests for app in apps)


async def test_at_its_end_idle_connections_are_closed_and_nobody_can_connect() -> None:
    async with listening(Counting()) as listener:
        idle = await connect(listener)
        idle.say(request())
        await idle.hear()
        await listener.close()
        assert await idle.ended()
        with pytest.raises(ConnectionRefusedError):
            await connect(listener)


async def test_it_may_be_closed_before_it_was_started() -> None:
    listener = Listener(Counting(), host="127.0.0.1", port=free_port(), limits=LimitsConfig())
    await listener.close()
    assert not listener.alive


async def test_it_listens_on_ipv6_too() -> None:
    listener = Listener(Counting(), host="::1", port=free_port(), limits=LimitsConfig())
    await listener.start()
    client = await connect(listener)
    client.say(request())
    assert (await client.hear()).status == 200
    client.close()
    await listener.close()
