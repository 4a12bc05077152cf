"""The load goals of the endpoint, one function each, returning gates with measured values.

Latencies are reported without a gate, since the generator and the service share the machine.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import combinations

from benchmarks.load import Arrivals, Outcome, closed_loop, get, open_loop, quantile
from benchmarks.service import PATH, Bench, Served, served

CALM = 0.7
"""Share of the capacity at which no request may fail."""
MIN_GOODPUT = 0.8
RECOVERY_S = 10.0
MAX_BYTES = 1024
"""Maximum growth of memory per request, in bytes."""
WARM_UP = 1000
ALLOCATOR = {"MALLOC_TRIM_THRESHOLD_": "131072", "MALLOC_MMAP_THRESHOLD_": "131072"}
"""Return freed memory at once: what the allocator keeps for reuse would hide a leak."""
SPARE = 5
"""File descriptors that Ray's processes may open among themselves meanwhile."""
EXIT_S = 30.0
SLOW = 200
HEALTH_S = 5.0
_CLIENTS = 32
Note = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Gate:
    """A goal, whether it holds, and the measured value."""

    goal: str
    holds: bool
    measured: str


def counts(outcomes: Sequence[Outcome]) -> str:
    """Count the outcomes by status or error."""
    kinds = Counter(str(one.status) if one.status else one.error for one in outcomes)
    return ", ".join(f"{count} x {kind}" for kind, count in sorted(kinds.items())) or "none"


def latencies(outcomes: Sequence[Outcome], status: int = 200) -> str:
    """Return median and 99th percentile of the latency of responses with a status."""
    taken = [one.latency for one in outcomes if one.status == status]
    if not taken:
        return f"no {status}"
    return f"{status}: p50 {quantile(taken, 0.5):.2f} s, p99 {quantile(taken, 0.99):.2f} s"


def capacity(service: Served, requests: Sequence[bytes], seconds: float) -> float:
    """Measure images per second in a closed loop with 32 clients."""
    asyncio.run(closed_loop(service.url, requests, concurrency=_CLIENTS, seconds=5.0))
    begin = time.monotonic()
    loop = closed_loop(service.url, requests, concurrency=_CLIENTS, seconds=seconds)
    outcomes = asyncio.run(loop)
    return sum(one.status == 200 for one in outcomes) / (time.monotonic() - begin)


def calm(service: Served, requests: Sequence[bytes], rate: float, seconds: float) -> list[Gate]:
    """Below its capacity the service serves every request."""
    loop = open_loop(service.url, requests, Arrivals(CALM * rate, seconds))
    outcomes = asyncio.run(loop)
    good = all(one.status == 200 for one in outcomes)
    return [Gate(f"{CALM} C: no errors", good, f"{counts(outcomes)}; {latencies(outcomes)}")]


def overload(
    service: Served, requests: Sequence[bytes], rate: float, times: float, seconds: float
) -> list[Gate]:
    """Above its capacity it serves what it can, rejects the rest with 503, and recovers."""
    begin = time.monotonic()
    loop = open_loop(service.url, requests, Arrivals(times * rate, seconds))
    outcomes = asyncio.run(loop)
    expected = all(
        one.status == 200 or (one.status == 503 and one.retry_after.isdecimal()) for one in outcomes
    )
    hung = sum(one.error == "hang" for one in outcomes)
    good = sum(one.status == 200 and one.done <= begin + seconds for one in outcomes)
    goodput = good / seconds / rate
    after = time.monotonic()
    again = asyncio.run(
        open_loop(service.url, requests, Arrivals(CALM * rate, RECOVERY_S + 5.0, seed=1))
    )
    bad = [one.intended - after for one in again if one.status != 200]
    recovered = max(bad, default=0.0)
    name = f"{times:g} C for {seconds:.0f} s"
    return [
        Gate(f"{name}: 200, or 503 with Retry-After", expected, counts(outcomes)),
        Gate(
            f"{name}: nothing hangs",
            not hung,
            f"{latencies(outcomes)}; {latencies(outcomes, 503)}",
        ),
        Gate(f"{name}: goodput >= {MIN_GOODPUT} C", goodput >= MIN_GOODPUT, f"{goodput:.2f} C"),
        Gate(
            f"{name}: normal again within {RECOVERY_S:.0f} s",
            recovered <= RECOVERY_S,
            f"{counts(again)}; last error after {recovered:.1f} s",
        ),
    ]


def shutdown(bench: Bench, model: str, rate: float, times: int, note: Note) -> list[Gate]:
    """On SIGTERM under load, accepted requests are finished, and the command exits with 0."""
    lost, unexpected, codes, taken, finished = 0, 0, Counter[int](), [0.0], 0
    for number in range(times):
        with served(bench, model) as running:
            requests = bench.requests(model, running.port)
            signalled, code, seconds, outcomes = asyncio.run(_terminate(running, requests, rate))
        before = [one for one in outcomes if one.sent < signalled]
        wrong = [one for one in before if one.status not in (200, 503)]
        later = [one for one in outcomes if one.sent >= signalled]
        strange = [one for one in later if one.status not in (0, 200, 503) or one.error == "hang"]
        lost += len(wrong)
        unexpected += len(strange)
        codes[code] += 1
        taken.append(seconds)
        finished += sum(one.done > signalled and one.status == 200 for one in before)
        note(
            f"SIGTERM {number + 1}: before {counts(before)}; after {counts(later)}; "
            f"exit {code} in {seconds:.1f} s"
        )
    name = f"SIGTERM x {times}"
    return [
        Gate(
            f"{name}: accepted requests are finished",
            not lost and not unexpected,
            f"{finished} were running and finished; {lost} lost, {unexpected} unexpected responses",
        ),
        Gate(f"{name}: exit within {EXIT_S:.0f} s", max(taken) <= EXIT_S, f"{max(taken):.1f} s"),
        Gate(f"{name}: exit code 0", set(codes) <= {0}, str(dict(codes))),
    ]


async def _terminate(
    running: Served, requests: Sequence[bytes], rate: float
) -> tuple[float, int, float, list[Outcome]]:
    """Stop the service under load; return time of the signal, exit code, seconds, and outcomes."""
    stop = asyncio.Event()
    load = asyncio.create_task(
        open_loop(running.url, requests, Arrivals(CALM * rate, 120.0), stop=stop)
    )
    await asyncio.sleep(4.0)
    signalled = time.monotonic()
    code, seconds = await asyncio.to_thread(running.end)
    stop.set()
    return signalled, code, seconds, await load


def drift(service: Served, requests: Sequence[bytes], count: int, note: Note) -> list[Gate]:
    """Many requests leave no memory, files or descriptors behind."""
    warm, step = min(WARM_UP, count // 4), max(50, count // 20)
    _send(service, requests, warm)
    descriptors, files = service.descriptors(), service.files()
    sent, memories = [warm], [service.memory()]
    bad = 0
    while sent[-1] < count:
        bad += _send(service, requests, min(step, count - sent[-1]))
        sent.append(min(count, sent[-1] + step))
        memories.append(service.memory())
        total = sum(memories[-1].values()) / 2**20
        note(f"{sent[-1]} requests: {total:.1f} MB, {service.descriptors()} files")
    totals = [sum(one.values()) for one in memories]
    grown = {
        name: _slope(sent, [one.get(name, 0) for one in memories])
        for name in memories[0]
        if name in memories[-1]
    }
    slope = sum(grown.values())
    most = sorted(grown.items(), key=lambda one: -one[1])
    note("bytes per request: " + ", ".join(f"{name} {value:.0f}" for name, value in most))
    new = service.files() - files
    more = service.descriptors() - descriptors
    name = f"{count:,} requests"
    return [
        Gate(f"{name}: no errors", not bad, f"{bad} errors"),
        Gate(
            f"{name}: memory <= {MAX_BYTES} bytes per request",
            slope <= MAX_BYTES,
            f"{slope:.0f} bytes; {totals[0] / 2**20:.0f} to {totals[-1] / 2**20:.0f} MB",
        ),
        Gate(f"{name}: no temporary files", not new, f"{len(new)} new {sorted(new)[:3]}"),
        Gate(
            f"{name}: descriptors within {SPARE} of before",
            more <= SPARE,
            f"{descriptors} then {more:+d}",
        ),
    ]


def _send(service: Served, requests: Sequence[bytes], count: int) -> int:
    outcomes = asyncio.run(closed_loop(service.url, requests, concurrency=8, count=count))
    time.sleep(1.0)  # let connections close
    return sum(one.status != 200 for one in outcomes)


def _slope(at: Sequence[int], values: Sequence[int]) -> float:
    """Return the Theil-Sen slope: a single step down does not hide a steady rise."""
    points = list(zip(at, values, strict=True))
    return statistics.median(
        (later[1] - earlier[1]) / (later[0] - earlier[0])
        for earlier, later in combinations(points, 2)
    )


def slow_loris(
    service: Served, requests: Sequence[bytes], rate: float, seconds: float
) -> list[Gate]:
    """Clients that never finish their bodies do not block others."""
    slow, health, normal = asyncio.run(_beside(service, requests, rate, seconds))
    times = [one.latency for one in health]
    well = all(one.status == 200 and one.latency < HEALTH_S for one in health)
    good = all(one.status == 200 for one in normal)
    name = f"{SLOW} slow clients"
    responses = ", ".join(f"{count} x {kind}" for kind, count in sorted(slow.items()))
    return [
        Gate(
            f"{name}: health checks respond within {HEALTH_S:.0f} s",
            well,
            f"{counts(health)}; p50 {quantile(times, 0.5):.3f} s, "
            f"p99 {quantile(times, 0.99):.3f} s",
        ),
        Gate(
            f"{name}: others are served",
            good,
            f"{counts(normal)}; {latencies(normal)}; slow clients got {responses}",
        ),
    ]


async def _beside(
    service: Served, requests: Sequence[bytes], rate: float, seconds: float
) -> tuple[Counter[str], list[Outcome], list[Outcome]]:
    until = time.monotonic() + seconds
    host = f"127.0.0.1:{service.port}"
    checks = [get("/health/live", host), get("/health/ready", host)]
    slow = [asyncio.create_task(_drip(service.port, requests[0], until)) for _ in range(SLOW)]
    await asyncio.sleep(1.0)
    health, normal = await asyncio.gather(
        open_loop(service.url, checks, Arrivals(5.0, seconds - 1.0)),
        open_loop(service.url, requests, Arrivals(rate / 2, seconds - 1.0, seed=1)),
    )
    return Counter(await asyncio.gather(*slow)), health, normal


async def _drip(port: int, request: bytes, until: float) -> str:
    """Send the head of a request and then single bytes; return the status of the response."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    assert PATH.encode() in request
    writer.write(request[: request.index(b"\r\n\r\n") + 100])
    response = asyncio.create_task(reader.readline())
    with suppress(OSError):
        while time.monotonic() < until and not response.done():
            writer.write(b"x")
            await asyncio.wait((response,), timeout=1.0)
    words = b""
    if response.done() and response.exception() is None:
        words = response.result()
    response.cancel()
    writer.transport.abort()
    return words.split(b" ")[1].decode() if words.count(b" ") > 1 else "no response"
