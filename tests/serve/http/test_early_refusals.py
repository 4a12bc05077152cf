"""Clients that are still sending receive the response that rejects their request."""

from __future__ import annotations

import asyncio
import http.client
import json
import socket
import subprocess
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import aiohttp
import httpx
import pytest
import requests

from snellen.serve.config import LimitsConfig
from snellen.serve.http import lingering
from snellen.serve.http.server import Listener
from snellen.store.sql.database import Database
from tests.ray_cluster import free_port
from tests.serve.http.raw_client import CountingApp, connect, listening, request
from tests.serve.local_service import served

pytestmark = pytest.mark.slow
BODY = bytes(16_000_000)
"""More than the buffers of a connection hold, so that the client is still sending."""
CASES = {
    400: ("POST", "/inference/single", {"X-API-Key": "k", "Host": "other.example.com"}),
    401: ("POST", "/inference/single", {}),
    404: ("POST", "/no/such/page", {"X-API-Key": "k"}),
    405: ("PUT", "/health/live", {}),
    413: ("POST", "/inference/test-runs", {"X-API-Key": "k"}),
    503: ("POST", "/inference/single", {"X-API-Key": "k"}),
}
Headers = dict[str, str]
Send = Callable[[str, str, Headers, Path], tuple[int, bytes]]


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Start the application at a socket, in a thread; its queue for images is full."""
    folder = tmp_path_factory.mktemp("service")
    port = free_port()
    ready, done = threading.Event(), threading.Event()

    async def run() -> None:
        limits = {"max_queued": 1}
        db = Database.open(f"sqlite:///{folder / 'runs.db'}")
        async with served(db, folder, keys=["k"], limits=limits) as service:
            config = LimitsConfig.model_validate(limits)
            listener = Listener(service.app, host="127.0.0.1", port=port, limits=config)
            await listener.start()
            with service.state.admission.slot():
                ready.set()
                await asyncio.to_thread(done.wait)
            await listener.close()
        db.close()

    thread = threading.Thread(target=asyncio.run, args=(run(),))
    thread.start()
    assert ready.wait(20)
    yield f"http://127.0.0.1:{port}"
    done.set()
    thread.join(10)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("body") / "body"
    path.write_bytes(BODY)
    return path


def with_urllib(method: str, url: str, headers: Headers, file: Path) -> tuple[int, bytes]:
    """Urllib always sends ``Connection: close``."""
    sent = urllib.request.Request(url, file.read_bytes(), headers, method=method)
    try:
        with urllib.request.urlopen(sent, timeout=20) as response:
            return response.status, response.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


def with_http_client(method: str, url: str, headers: Headers, file: Path) -> tuple[int, bytes]:
    host, _, path = url.removeprefix("http://").partition("/")
    connection = http.client.HTTPConnection(host, timeout=20)
    connection.request(method, f"/{path}", file.read_bytes(), headers)
    response = connection.getresponse()
    with ExitStack() as stack:
        stack.callback(connection.close)
        return response.status, response.read()


def with_requests(method: str, url: str, headers: Headers, file: Path) -> tuple[int, bytes]:
    response = requests.request(method, url, headers=headers, data=file.read_bytes(), timeout=20)
    return response.status_code, response.content


def with_httpx(method: str, url: str, headers: Headers, file: Path) -> tuple[int, bytes]:
    response = httpx.request(method, url, headers=headers, content=file.read_bytes(), timeout=20)
    return response.status_code, response.content


def with_aiohttp(method: str, url: str, headers: Headers, file: Path) -> tuple[int, bytes]:
    async def send() -> tuple[int, bytes]:
        async with (
            aiohttp.ClientSession() as session,
            session.request(method, url, headers=headers, data=file.read_bytes()) as response,
        ):
            return response.status, await response.read()

    return asyncio.run(send())


def with_curl(*options: str) -> Send:
    def send(method: str, url: str, headers: Headers, file: Path) -> tuple[int, bytes]:
        named = [f"-H{name}: {value}" for name, value in headers.items()]
        words = ["curl", "-sS", "-m20", "-X", method, "-T", str(file), "-w", "\n%{http_code}"]
        done = subprocess.run([*words, *options, *named, url], capture_output=True, check=False)
        # 18, 55 and 56 are incomplete transfers and resets.
        assert done.returncode == 0, done.stderr
        body, _, status = done.stdout.rpartition(b"\n")
        return int(status), body

    return send


def closing(send: Send) -> Send:
    """Return the client with ``Connection: close``."""
    return lambda method, url, headers, file: send(
        method, url, {**headers, "Connection": "close"}, file
    )


CLIENTS: dict[str, Send] = {
    "urllib": with_urllib,
    "http.client": with_http_client,
    "http.client-close": closing(with_http_client),
    "requests": with_requests,
    "requests-close": closing(with_requests),
    "httpx": with_httpx,
    "httpx-close": closing(with_httpx),
    "aiohttp": with_aiohttp,
    "aiohttp-close": closing(with_aiohttp),
    "curl": with_curl(),
    "curl-close": closing(with_curl()),
    "curl-no-expect": with_curl("-HExpect:"),
    "curl-no-expect-close": closing(with_curl("-HExpect:")),
    "curl-chunked": closing(with_curl("-HExpect:", "-HTransfer-Encoding: chunked")),
    "curl-http1.0": with_curl("--http1.0", "-HExpect:"),
}


@pytest.mark.parametrize("client", CLIENTS)
def test_the_refusal_of_a_large_request_reaches_the_client(
    client: str, url: str, file: Path
) -> None:
    for status, (method, path, headers) in CASES.items():
        found, body = CLIENTS[client](method, url + path, dict(headers), file)
        assert (found, json.loads(body)["status"]) == (status, status)


def send_all(address: tuple[str, int], data: bytes) -> bytes:
    """Send everything, then read until the server closes, as simple clients do."""
    with socket.create_connection(address, timeout=20) as connection:
        connection.sendall(data)
        received = b""
        while part := connection.recv(65536):
            received += part
    return received


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("limits", "data", "status"),
    [
        pytest.param({}, b"hello \r\n\r\n" + BODY, b"400", id="not-http"),
        pytest.param({}, b"GET / HTTP/1.1\r\nX: " + b"a" * len(BODY), b"431", id="large-head"),
        pytest.param(
            {"max_connections": 1}, request(body=bytes(900_000)), b"503", id="one-connection-more"
        ),
    ],
)
async def test_refusals_without_the_application_reach_the_client(
    limits: dict[str, int], data: bytes, status: bytes
) -> None:
    async with listening(CountingApp(), **limits) as listener:
        first = await connect(listener)
        received = await asyncio.to_thread(send_all, listener.address, data)
        assert received.startswith(b"HTTP/1.1 " + status)
        assert b'"code"' in received
        first.close()


@pytest.mark.anyio
@pytest.mark.parametrize("connection", ["close", "keep-alive"])
async def test_no_more_is_read_than_discard_bytes(connection: str) -> None:
    async with listening(CountingApp(), discard_bytes=1_000_000) as listener:
        with pytest.raises(ConnectionError):
            await asyncio.to_thread(
                send_all, listener.address, request("/reject", BODY, Connection=connection)
            )


@pytest.mark.anyio
@pytest.mark.parametrize("connection", ["close", "keep-alive"])
async def test_slow_clients_keep_their_connection_for_discard_timeout_s(connection: str) -> None:
    limits = {"discard_timeout_s": 0.3, "body_timeout_s": 30.0}
    async with listening(CountingApp(), **limits) as listener:
        client = await connect(listener)
        client.send(request("/reject", BODY, Connection=connection)[:-1000])
        assert (await client.receive()).status == 503
        begin = asyncio.get_running_loop().time()
        with pytest.raises(ConnectionError):
            while asyncio.get_running_loop().time() < begin + 5:
                client.send(b"a")
                await client.writer.drain()
                await asyncio.sleep(0.02)
        assert 0.2 < asyncio.get_running_loop().time() - begin < 3
        client.close()


@pytest.mark.anyio
async def test_silent_clients_are_closed_earlier(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lingering, "_IDLE_S", 0.2)
    async with listening(CountingApp(), max_connections=1) as listener:
        client = await connect(listener)
        client.send(request("/reject", BODY, Connection="close")[:-1000])
        assert (await client.receive()).status == 503
        await asyncio.sleep(0.5)
        other = await connect(listener)
        other.send(request())
        assert (await other.receive()).status == 200
        for one in (client, other):
            one.close()


@pytest.mark.anyio
async def test_a_complete_request_is_closed_at_once() -> None:
    async with listening(CountingApp(), max_connections=1) as listener:
        for _ in range(3):
            client = await connect(listener)
            client.send(request(Connection="close"))
            assert (await client.receive()).status == 200
            assert await client.closed_by_server()  # and the next one is not above the limit


@pytest.mark.anyio
async def test_rejected_connections_do_not_count_as_open_ones() -> None:
    async with listening(CountingApp(), max_connections=1) as listener:
        first = await connect(listener)
        rejected = [await connect(listener) for _ in range(80)]
        for one in rejected:
            assert (await one.receive()).status == 503
        first.close()
        await asyncio.sleep(0.1)
        second = await connect(listener)
        second.send(request())
        assert (await second.receive()).status == 200
        for one in (*rejected, second):
            one.close()
