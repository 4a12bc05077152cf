"""Load generator for an HTTP service: closed loops, and open loops with a fixed rate.

In an open loop requests are sent at the times of a Poisson process, whether or not earlier ones
are finished, and latency counts from the time at which a request was due. A service that stalls
cannot hide it by slowing the generator down (coordinated omission).

Plain asyncio protocols with keep-alive: the generator shares the cores with the service, so it uses
as little CPU as possible.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

HANG_S = 90.0
"""Time after which a request without a response counts as hanging, in seconds."""


@dataclass(slots=True)
class Outcome:
    """Outcome of one request.

    Attributes:
        intended: time at which it was due (``time.monotonic``).
        sent: time at which it was sent.
        done: time at which the response was complete or the connection was lost.
        status: HTTP status; 0 without a response.
        error: reason for status 0, such as ``hang`` or ``ConnectionRefusedError``.
        retry_after: Retry-After header, or an empty text.
        complete: the response has all the bytes that it announced.
    """

    intended: float
    sent: float = 0.0
    done: float = 0.0
    status: int = 0
    error: str = ""
    retry_after: str = ""
    complete: bool = False

    @property
    def latency(self) -> float:
        """Time from when it was due until it was done, in seconds."""
        return self.done - self.intended


class Connection(asyncio.Protocol):
    """A keep-alive connection for one request at a time."""

    def __init__(self) -> None:
        self.closed = False
        self._transport: asyncio.Transport | None = None
        self._buffer = bytearray()
        self._response: asyncio.Future[tuple[int, str]] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Implement asyncio.Protocol."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        """Implement asyncio.Protocol."""
        self.closed = True
        if self._response is not None and not self._response.done():
            self._response.set_exception(exc or ConnectionResetError("closed before the response"))

    def data_received(self, data: bytes) -> None:
        """Implement asyncio.Protocol."""
        self._buffer += data
        split = self._buffer.find(b"\r\n\r\n")
        if split < 0 or self._response is None or self._response.done():
            return
        head = self._buffer[:split].decode("latin-1").lower().split("\r\n")
        headers = dict(line.split(": ", 1) for line in head[1:] if ": " in line)
        if "content-length" in headers:
            complete = len(self._buffer) >= split + 4 + int(headers["content-length"])
        else:
            complete = self._buffer.endswith(b"0\r\n\r\n")
        if complete:
            self._buffer.clear()
            if headers.get("connection") == "close":
                self.close()
            self._response.set_result((int(head[0].split(" ")[1]), headers.get("retry-after", "")))

    async def send(self, request: bytes) -> tuple[int, str]:
        """Send a request; return status and Retry-After when the response is complete."""
        assert self._transport is not None
        self._response = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return await self._response

    def close(self) -> None:
        """Close the connection."""
        self.closed = True
        if self._transport is not None:
            self._transport.abort()


@dataclass(slots=True)
class Client:
    """Connections to one address; a request uses an idle one or opens another."""

    url: str
    idle: list[Connection] = field(default_factory=list)

    async def send(self, request: bytes, intended: float) -> Outcome:
        """Send a request and wait for its response."""
        outcome = Outcome(intended)
        connection: Connection | None = None
        try:
            async with asyncio.timeout(HANG_S):
                connection = await self._connection()
                outcome.sent = time.monotonic()
                outcome.status, outcome.retry_after = await connection.send(request)
            outcome.complete = True
            if not connection.closed:
                self.idle.append(connection)
        except TimeoutError:
            outcome.error = "hang"
        except OSError as error:
            outcome.error = type(error).__name__
        outcome.sent = outcome.sent or time.monotonic()
        outcome.done = time.monotonic()
        if connection is not None and not outcome.complete:
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
        _, opened = await loop.create_connection(Connection, host, port)
        return opened

    def close(self) -> None:
        """Close idle connections."""
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
    """Run clients that each send their next request when the last one is finished.

    Args:
        url: address of the service.
        requests: sent in turn.
        concurrency: number of clients.
        seconds: duration.
        count: total number of requests after which it stops earlier.
    """
    client = Client(url)
    outcomes: list[Outcome] = []
    end = time.monotonic() + seconds
    left = float("inf") if count is None else count

    async def run() -> None:
        nonlocal left
        while time.monotonic() < end and left > 0:
            left -= 1
            request = requests[len(outcomes) % len(requests)]
            outcomes.append(await client.send(request, time.monotonic()))

    await asyncio.gather(*(run() for _ in range(concurrency)))
    client.close()
    return outcomes


@dataclass(frozen=True, slots=True)
class Arrivals:
    """A Poisson process.

    Attributes:
        rate: requests per second on average.
        seconds: duration.
        seed: the same seed gives the same times.
    """

    rate: float
    seconds: float
    seed: int = 0

    def times(self) -> Iterator[float]:
        """Yield the times of arrival, in seconds from the start."""
        gaps, at = random.Random(self.seed), 0.0
        while (at := at + gaps.expovariate(self.rate)) <= self.seconds:
            yield at


async def open_loop(
    url: str, requests: Sequence[bytes], arrivals: Arrivals, *, stop: asyncio.Event | None = None
) -> list[Outcome]:
    """Send requests at given times, whether or not earlier ones are finished.

    Args:
        url: address of the service.
        requests: sent in turn.
        arrivals: times at which requests are due.
        stop: ends the loop earlier.

    Returns:
        The outcomes, when all requests are finished.
    """
    client = Client(url)
    tasks: list[asyncio.Task[Outcome]] = []
    begin = time.monotonic()
    for at in arrivals.times():
        if stop is not None and stop.is_set():
            break
        # Even when the generator is late, other tasks get their turn.
        await asyncio.sleep(max(0.0, begin + at - time.monotonic()))
        request = requests[len(tasks) % len(requests)]
        tasks.append(asyncio.create_task(client.send(request, begin + at)))
    outcomes = await asyncio.gather(*tasks)
    client.close()
    return list(outcomes)


def multipart(path: str, host: str, image: bytes, fields: dict[str, str]) -> bytes:
    """Create a complete POST request with a form."""
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
    """Create a complete GET request."""
    return f"GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()


def quantile(values: Sequence[float], share: float) -> float:
    """Return the smallest value that a ``share`` of all does not exceed; NaN without values."""
    ordered = sorted(values)
    if not ordered:
        return float("nan")
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
