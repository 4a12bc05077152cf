"""The HTTP server: starts when its port is free, and closes all connections when it stops."""

from __future__ import annotations

import asyncio
import socket

import pytest

from snellen.serve.config import LimitsConfig
from snellen.serve.http import server as listener_module
from snellen.serve.http.server import Listener
from tests.ray_cluster import free_port
from tests.serve.http.raw_client import CountingApp, connect, listening, request

pytestmark = pytest.mark.anyio


async def test_requests_on_one_connection_are_answered_in_order() -> None:
    async with listening(CountingApp()) as listener:
        assert listener.alive
        client = await connect(listener)
        for count in (0, 3, 300_000):
            client.send(request(body=bytes(count)))
            response = await client.receive()
            assert (response.status, response.body) == (200, f"{count} bytes".encode())
            assert "server" not in response.headers
        client.close()
    assert not listener.alive


async def test_it_waits_for_a_port_that_is_still_in_use() -> None:
    with socket.socket() as before:
        before.bind(("127.0.0.1", 0))
        before.listen()
        port = before.getsockname()[1]
        listener = Listener(CountingApp(), host="127.0.0.1", port=port, limits=LimitsConfig())
        starting = asyncio.create_task(listener.start())
        await asyncio.sleep(0.2)
        assert not starting.done()
    await starting
    client = await connect(listener)
    client.send(request())
    assert (await client.receive()).status == 200
    client.close()
    await listener.close()


async def test_a_port_that_stays_in_use_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listener_module, "_BIND_TIMEOUT_S", 0.1)
    async with listening(CountingApp()) as first:
        host, port = first.address
        second = Listener(CountingApp(), host=host, port=port, limits=LimitsConfig())
        with pytest.raises(OSError, match="in use"):
            await second.start()
        assert not second.alive


async def test_processes_may_share_a_port() -> None:
    port = free_port()
    apps = [CountingApp(), CountingApp()]
    listeners = [
        Listener(app, host="127.0.0.1", port=port, limits=LimitsConfig(), shared=True)
        for app in apps
    ]
    for listener in listeners:
        await listener.start()
    for _ in range(64):
        client = await connect(listeners[0])
        client.send(request())
        assert (await client.receive()).status == 200
        client.close()
    for listener in listeners:
        await listener.close()
    assert sum(len(app.requests) for app in apps) == 64
    assert all(app.requests for app in apps)


async def test_closing_ends_idle_connections_and_accepts_no_new_ones() -> None:
    async with listening(CountingApp()) as listener:
        idle = await connect(listener)
        idle.send(request())
        await idle.receive()
        await listener.close()
        assert await idle.closed_by_server()
        with pytest.raises(ConnectionRefusedError):
            await connect(listener)


async def test_it_may_be_closed_before_it_is_started() -> None:
    listener = Listener(CountingApp(), host="127.0.0.1", port=free_port(), limits=LimitsConfig())
    await listener.close()
    assert not listener.alive


async def test_it_listens_on_ipv6_too() -> None:
    listener = Listener(CountingApp(), host="::1", port=free_port(), limits=LimitsConfig())
    await listener.start()
    client = await connect(listener)
    client.send(request())
    assert (await client.receive()).status == 200
    client.close()
    await listener.close()
