"""Server-sent events of the progress of a run."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial

from starlette.concurrency import run_in_threadpool

from snellen.adapters.errors import SnellenError
from snellen.pipelines.runs.kinds import RunKind
from snellen.serve.api.bodies.run_bodies import ProgressResponse
from snellen.serve.api.problems import overloaded
from snellen.serve.api.runs.progress import ENDED
from snellen.serve.api.state import State

MAX_STREAMS = 100
"""Maximum number of open streams per process."""
_POLL_S = 1.0
_KEEP_ALIVE_S = 15.0


async def progress_events(
    state: State, kind: RunKind, run_id: int, wait_s: float
) -> AsyncIterator[bytes]:
    """Return the stream of a run's progress: an event for each change, the last one called ``end``.

    The stream ends when the run has ended and nobody is about to resume it, after ``wait_s``, and
    when the service is being stopped.

    Raises:
        InputError: RUN_NOT_FOUND.
        Problem: 503, too many streams are open.
    """
    read = partial(run_in_threadpool, state.progress.of, kind, run_id)
    first = await read()
    if state.streams >= MAX_STREAMS:
        after = state.config.limits.retry_after_s
        raise overloaded(after, "OVERLOADED", "Too many event streams are open.")
    return _events(state, first, read, wait_s)


async def _events(
    state: State,
    current: ProgressResponse,
    read: Callable[[], Awaitable[ProgressResponse]],
    wait_s: float,
) -> AsyncIterator[bytes]:
    clock = asyncio.get_running_loop().time
    end, sent, last = clock() + wait_s, clock(), None
    state.streams += 1
    try:
        while True:
            over = current.status in ENDED or clock() >= end or state.admission.draining
            if over or current != last:
                yield _event("end" if over else "progress", current)
                last, sent = current, clock()
            elif clock() - sent >= _KEEP_ALIVE_S:
                yield b": the run goes on\n\n"
                sent = clock()
            if over:
                return
            await asyncio.sleep(min(_POLL_S, max(0.0, end - clock())))
            try:
                current = await read()
            except SnellenError:  # deleted meanwhile, or the database does not respond
                return
    finally:
        state.streams -= 1


def _event(name: str, data: ProgressResponse) -> bytes:
    return f"event: {name}\ndata: {data.model_dump_json()}\n\n".encode()
