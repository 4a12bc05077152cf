"""The load goals of the endpoint, each as a function that returns what held and what was seen.

Latencies are told and not gated, since the generator and the service share the machine.
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

from benchmarks.load import Outcome, closed_loop, get, open_loop, quantile
from benchmarks.service import PATH, Bench, Served, served

CALM = 0.7
"""Share of the capacity at which nothing may fail."""
LEAST_GOODPUT = 0.8
RECOVERY_S = 10.0
MOST_BYTES = 1024
"""That a request may leave in memory."""
WARM = 1000
ALLOCATOR = {"MALLOC_TRIM_THRESHOLD_": "131072", "MALLOC_MMAP_THRESHOLD_": "131072"}
"""Memory goes back at once: what the allocator keeps for the next batch would hide a leak."""
SPARE = 5
"""Descriptors that Ray's processes may open between themselves meanwhile."""
EXIT_S = 30.0
SLOW = 200
HEALTH_S = 5.0
_CLIENTS = 32
Note = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Gate:
    """One thing that has to hold."""

    goal: str
    holds: bool
    seen: str


def told(outcomes: Sequence[Outcome]) -> str:
    """How many answers of which kind."""
    kinds = Counter(str(one.status) if one.status else one.error for one in outcomes)
    return ", ".join(f"{count} x {kind}" for kind, count in sorted(kinds.items())) or "none"


def latencies(outcomes: Sequence[Outcome], status: int = 200) -> str:
    """Median and 99th percentile of the answers with a status."""
    taken = [one.latency for one in outcomes if one.status == status]
    if not taken:
        return f"no {status}"
    return f"{status}: p50 {quantile(taken, 0.5):.2f} s, p99 {quantile(taken, 0.99):.2f} s"


def capacity(service: Served, requests: Sequence[bytes], seconds: float) -> float:
    """Images a second with 32 clients that wait for their answers."""
    asyncio.run(closed_loop(service.url, requests, concurrency=_CLIENTS, seconds=5.0))
    begin = time.monotonic()
    loop = closed_loop(service.url, requests, concurrency=_CLIENTS, seconds=seconds)
    outcomes = asyncio.run(loop)
    return sum(one.status == 200 for one in outcomes) / (time.monotonic() - begin)


def calm(service: Served, requests: Sequence[bytes], rate: float, seconds: float) -> list[Gate]:
    """Below its capacity the service answers everything."""
    loop = open_loop(service.url, requests, rate=CALM * rate, seconds=seconds)
    outcomes = asyncio.run(loop)
    good = all(one.status == 200 for one in outcomes)
    return [Gate(f"{CALM} C: no errors", good, f"{told(outcomes)}; {latencies(outcomes)}")]


def overload(
    service: Served, requests: Sequence[bytes], rate: float, times: float, seconds: float
) -> list[Gate]:
    """Above it, it answers what it can, refuses the rest politely, and recovers."""
    begin = time.monotonic()
    loop = open_loop(service.url, requests, rate=times * rate, seconds=seconds)
    outcomes = asyncio.run(loop)
    polite = all(
        one.status == 200 or (one.status == 503 and one.retry_after.isdecimal()) for one in outcomes
    )
    hung = sum(one.error == "hang" for one in outcomes)
    good = sum(one.status == 200 and one.done <= begin + seconds for one in outcomes)
    goodput = good / seconds / rate
    after = time.monotonic()
    again = asyncio.run(
        open_loop(service.url, requests, rate=CALM * rate, seconds=RECOVERY_S + 5.0, seed=1)
    )
    bad = [one.intended - after for one in again if one.status != 200]
    recovered = max(bad, default=0.0)
    name = f"{times:g} C for {seconds:.0f} s"
    return [
        Gate(f"{name}: 200, or 503 with Retry-After", polite, told(outcomes)),
        Gate(
            f"{name}: nothing hangs",
            not hung,
            f"{latencies(outcomes)}; {latencies(outcomes, 503)}",
        ),
        Gate(f"{name}: goodput >= {LEAST_GOODPUT} C", goodput >= LEAST_GOODPUT, f"{goodput:.2f} C"),
        Gate(
            f"{name}: normal again within {RECOVERY_S:.0f} s",
            recovered <= RECOVERY_S,
            f"{told(again)}; last error after {recovered:.1f} s",
        ),
    ]


def shutdown(made: Bench, model: str, rate: float, times: int, note: Note) -> list[Gate]:
    """SIGTERM under load: what was accepted is answered, and the command ends well."""
    lost, odd, codes, taken, answered = 0, 0, Counter[int](), [0.0], 0
    for number in range(times):
        with served(made, model) as running:
            requests = made.requests(model, running.port)
            signalled, code, seconds, outcomes = asyncio.run(_ended(running, requests, rate))
        before = [one for one in outcomes if one.sent < signalled]
        wrong = [one for one in before if one.status not in (200, 503)]
        later = [one for one in outcomes if one.sent >= signalled]
        strange = [one for one in later if one.status not in (0, 200, 503) or one.error == "hang"]
        lost += len(wrong)
        odd += len(strange)
        codes[code] += 1
        taken.append(seconds)
        answered += sum(one.done > signalled and one.status == 200 for one in before)
        note(
            f"SIGTERM {number + 1}: before {told(before)}; after {told(later)}; "
            f"exit {code} in {seconds:.1f} s"
        )
    name = f"SIGTERM x {times}"
    return [
        Gate(
            f"{name}: accepted requests are answered",
            not lost and not odd,
            f"{answered} were at work and answered; {lost} lost, {odd} odd answers",
        ),
        Gate(f"{name}: exit within {EXIT_S:.0f} s", max(taken) <= EXIT_S, f"{max(taken):.1f} s"),
        Gate(f"{name}: exit code 0", set(codes) <= {0}, str(dict(codes))),
    ]


async def _ended(
    running: Served, requests: Sequence[bytes], rate: float
) -> tuple[float, int, float, list[Outcome]]:
    """When the signal was sent, the exit code, seconds until then, and all that was asked."""
    stop = asyncio.Event()
    asking = asyncio.create_task(
        open_loop(running.url, requests, rate=CALM * rate, seconds=120.0, stop=stop)
    )
    await asyncio.sleep(4.0)
    signalled = time.monotonic()
    code, seconds = await asyncio.to_thread(running.end)
    stop.set()
    return signalled, code, seconds, await asking


def drift(service: Served, requests: Sequence[bytes], count: int, note: Note) -> list[Gate]:
    """Many requests leave nothing behind."""
    warm, step = min(WARM, count // 4), max(50, count // 20)
    _ask(service, requests, warm)
    descriptors, files = service.descriptors(), service.files()
    asked, memories = [warm], [service.memory()]
    bad = 0
    while asked[-1] < count:
        bad += _ask(service, requests, min(step, count - asked[-1]))
        asked.append(min(count, asked[-1] + step))
        memories.append(service.memory())
        total = sum(memories[-1].values()) / 2**20
        note(f"{asked[-1]} requests: {total:.1f} MB, {service.descriptors()} files")
    totals = [sum(one.values()) for one in memories]
    grown = {
        name: _slope(asked, [one.get(name, 0) for one in memories])
        for name in memories[0]
        if name in memories[-1]
    }
    slope = sum(grown.values())
    most = sorted(grown.items(), key=lambda one: -one[1])
    note("bytes a request: " + ", ".join(f"{name} {value:.0f}" for name, value in most))
    new = service.files() - files
    more = service.descriptors() - descriptors
    name = f"{count:,} requests"
    return [
        Gate(f"{name}: no errors", not bad, f"{bad} errors"),
        Gate(
            f"{name}: memory <= {MOST_BYTES} bytes a request",
            slope <= MOST_BYTES,
            f"{slope:.0f} bytes; {totals[0] / 2**20:.0f} to {totals[-1] / 2**20:.0f} MB",
        ),
        Gate(f"{name}: no temporary files", not new, f"{len(new)} new {sorted(new)[:3]}"),
        Gate(
            f"{name}: descriptors within {SPARE} of before",
            more <= SPARE,
            f"{descriptors} then {more:+d}",
        ),
    ]


def _ask(service: Served, requests: Sequence[bytes], count: int) -> int:
    outcomes = asyncio.run(closed_loop(service.url, requests, concurrency=8, count=count))
    time.sleep(1.0)  # connections are closed
    return sum(one.status != 200 for one in outcomes)


def _slope(at: Sequence[int], values: Sequence[int]) -> float:
    """The median over all pairs (Theil and Sen): one step down does not hide a steady rise."""
    points = list(zip(at, values, strict=True))
    return statistics.median(
        (later[1] - earlier[1]) / (later[0] - earlier[0])
        for earlier, later in combinations(points, 2)
    )


def slow_loris(
    service: Served, requests: Sequence[bytes], rate: float, seconds: float
) -> list[Gate]:
    """Clients whose bodies never come keep nobody else out."""
    slow, health, normal = asyncio.run(_beside(service, requests, rate, seconds))
    taken = [one.latency for one in health]
    well = all(one.status == 200 and one.latency < HEALTH_S for one in health)
    good = all(one.status == 200 for one in normal)
    name = f"{SLOW} slow clients"
    answers = ", ".join(f"{count} x {kind}" for kind, count in sorted(slow.items()))
    return [
        Gate(
            f"{name}: health answers within {HEALTH_S:.0f} s",
            well,
            f"{told(health)}; p50 {quantile(taken, 0.5):.3f} s, p99 {quantile(taken, 0.99):.3f} s",
        ),
        Gate(
            f"{name}: others are answered",
            good,
            f"{told(normal)}; {latencies(normal)}; slow ones got {answers}",
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
        open_loop(service.url, checks, rate=5.0, seconds=seconds - 1.0),
        open_loop(service.url, requests, rate=rate / 2, seconds=seconds - 1.0, seed=1),
    )
    return Counter(await asyncio.gather(*slow)), health, normal


async def _drip(port: int, request: bytes, until: float) -> str:
    """The head of a request and then a byte now and then; the status that it gets, if any."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    assert PATH.encode() in request
    writer.write(request[: request.index(b"\r\n\r\n") + 100])
    answer = asyncio.create_task(reader.readline())
    with suppress(OSError):
        while time.monotonic() < until and not answer.done():
            writer.write(b"x")
            await asyncio.wait((answer,), timeout=1.0)
    words = b""
    if answer.done() and answer.exception() is None:
        words = answer.result()
    answer.cancel()
    writer.transport.abort()
    return words.split(b" ")[1].decode() if words.count(b" ") > 1 else "no answer"
