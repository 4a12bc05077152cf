"""Load for an HTTP service: one request after another, or at a rate that waits for nobody.

Open loop: requests are sent at the moments of a Poisson process, whether earlier ones were answered
or not, and a latency counts from the moment at which the request was to be sent. So a service that
stalls cannot hide it by keeping the generator waiting (coordinated omission).

Plain asyncio protocols with keep-alive: the generator shares the cores with what it measures, so it
costs as little as it can.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

HANG_S = 90.0
"""A request without an answer for so long hangs."""


@dataclass(slots=True)
class Outcome:
    """What came of one request.

    Attributes:
        intended: when it was to be sent (``time.monotonic``).
        sent, done: when it was, and when its answer was whole or its connection lost.
        status: of the answer; 0 where there was none.
        error: why there was none, such as ``hang`` or ``ConnectionRefusedError``.
        retry_after: the header, or an empty text.
        whole: the answer has all the bytes that it announced.
    """

    intended: float
    sent: float = 0.0
    done: float = 0.0
    status: int = 0
    error: str = ""
    retry_after: str = ""
    whole: bool = False

    @property
    def latency(self) -> float:
        """Seconds since it was to be sent."""
        return self.done - self.intended


class Connection(asyncio.Protocol):
    """A keep-alive connection with one request at a time."""

    def __init__(self) -> None:
        self.closed = False
        self._transport: asyncio.Transport | None = None
        self._buffer = bytearray()
        self._answer: asyncio.Future[tuple[int, str]] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """asyncio."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        """asyncio."""
        self.closed = True
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(exc or ConnectionResetError("closed before the answer"))

    def data_received(self, data: bytes) -> None:
        """asyncio."""
        self._buffer += data
        split = self._buffer.find(b"\r\n\r\n")
        if split < 0 or self._answer is None or self._answer.done():
            return
        head = self._buffer[:split].decode("latin-1").lower().split("\r\n")
        headers = dict(line.split(": ", 1) for line in head[1:] if ": " in line)
        if "content-length" in headers:
            whole = len(self._buffer) >= split + 4 + int(headers["content-length"])
        else:
            whole = self._buffer.endswith(b"0\r\n\r\n")
        if whole:
            self._buffer.clear()
            if headers.get("connection") == "close":
                self.close()
            self._answer.set_result((int(head[0].split(" ")[1]), headers.get("retry-after", "")))

    async def ask(self, request: bytes) -> tuple[int, str]:
        """Send a request; the status and the Retry-After of its answer, once it is whole."""
        assert self._transport is not None
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return await self._answer

    def close(self) -> None:
        """Close it."""
        self.closed = True
        if self._transport is not None:
            self._transport.abort()


@dataclass(slots=True)
class Client:
    """Connections to one address; a request takes an idle one or opens another."""

    url: str
    idle: list[Connection] = field(default_factory=list)

    async def ask(self, request: bytes, intended: float) -> Outcome:
        """Send a request and wait for its answer."""
        outcome = Outcome(intended)
        connection: Connection | None = None
        try:
            async with asyncio.timeout(HANG_S):
                connection = await self._connection()
                outcome.sent = time.monotonic()
                outcome.status, outcome.retry_after = await connection.ask(request)
            outcome.whole = True
            if not connection.closed:
                self.idle.append(connection)
        except TimeoutError:
            outcome.error = "hang"
        except OSError as error:
            outcome.error = type(error).__name__
        outcome.sent = outcome.sent or time.monotonic()
        outcome.done = time.monotonic()
        if connection is not None and not outcome.whole:
            connection.close()
        return outcome

    async def _connection(self) -> Connection:
        while self.idle:
            connection = self.idle.pop()
            if not connection.closed:
                return connection
        parts = urlsplit(self.url)
        loop = asyncio.get_running_loop()
        host, port = parts.hostname or "", parts.port or 80
        _, made = await loop.create_connection(Connection, host, port)
        return made

    def close(self) -> None:
        """Close what is open."""
        for connection in self.idle:
            connection.close()
        self.idle.clear()


async def closed_loop(
    url: str,
    requests: Sequence[bytes],
    *,
    concurrency: int,
    seconds: float = float("inf"),
    count: int | None = None,
) -> list[Outcome]:
    """``concurrency`` clients that send their next request when the last one is answered.

    It ends after ``seconds``, or ``count`` requests.
    """
    client = Client(url)
    outcomes: list[Outcome] = []
    end = time.monotonic() + seconds
    left = float("inf") if count is None else count

    async def ask() -> None:
        nonlocal left
        while time.monotonic() < end and left > 0:
            left -= 1
            request = requests[len(outcomes) % len(requests)]
            outcomes.append(await client.ask(request, time.monotonic()))

    await asyncio.gather(*(ask() for _ in range(concurrency)))
    client.close()
    return outcomes


async def open_loop(
    url: str,
    requests: Sequence[bytes],
    *,
    rate: float,
    seconds: float,
    seed: int = 0,
    stop: asyncio.Event | None = None,
) -> list[Outcome]:
    """Requests at ``rate`` a second on average for ``seconds``, or until ``stop``.

    It returns when all of them are answered.
    """
    client = Client(url)
    gaps = random.Random(seed)
    tasks: list[asyncio.Task[Outcome]] = []
    begin = intended = time.monotonic()
    while stop is None or not stop.is_set():
        intended += gaps.expovariate(rate)
        if intended > begin + seconds:
            break
        # Even when it is late, others get their turn.
        await asyncio.sleep(max(0.0, intended - time.monotonic()))
        request = requests[len(tasks) % len(requests)]
        tasks.append(asyncio.create_task(client.ask(request, intended)))
    outcomes = await asyncio.gather(*tasks)
    client.close()
    return list(outcomes)


def multipart(path: str, host: str, image: bytes, fields: dict[str, str]) -> bytes:
    """A POST request with a form, whole."""
    boundary = "snellen-benchmark"
    parts = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
        for name, value in fields.items()
    ]
    parts.append(
        f'--{boundary}\r\nContent-Disposition: form-data; name="image"; filename="a.jpg"\r\n'
        "Content-Type: image/jpeg\r\n\r\n".encode()
        + image
        + b"\r\n"
    )
    body = b"".join(parts) + f"--{boundary}--\r\n".encode()
    head = (
        f"POST {path} HTTP/1.1\r\nHost: {host}\r\n"
        f"Content-Type: multipart/form-data; boundary={boundary}\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def get(path: str, host: str) -> bytes:
    """A GET request, whole."""
    return f"GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()


def quantile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least ``share`` of all do not exceed; NaN of none."""
    ordered = sorted(values)
    if not ordered:
        return float("nan")
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
