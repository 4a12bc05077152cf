"""How much is taken on at a time: a bounded queue, bounded memory for uploads, and draining."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from snellen.serve.api.problems import overloaded
from snellen.serve.config import LimitsConfig

SETTLE_S = 1.0
"""Seconds in which a request surely gets from a client to this process."""


class Holding:
    """The bytes that one request holds until it is answered."""

    def __init__(self, admission: Admission) -> None:
        self._admission = admission
        self.count = 0

    def add(self, count: int) -> None:
        """Take room for more bytes. Raises Problem (503) where there is none."""
        self._admission.take(count)
        self.count += count


class Admission:
    """Counts requests and bytes of one process. Belongs to one event loop.

    Uploads that are still arriving take memory but no place in the queue, so that slow clients
    cannot keep others out.
    """

    def __init__(self, limits: LimitsConfig) -> None:
        self._limits = limits
        self.running = 0
        self.open = 0
        self.buffered = 0
        self.draining = False

    def check(self) -> None:
        """Refuse early, before a body is read. Raises Problem (503)."""
        if self.draining:
            after = self._limits.retry_after_s
            raise overloaded(after, "DRAINING", "The service is being stopped.")
        self._check_queue()

    def _check_queue(self) -> None:
        if self.running >= self._limits.max_queued:
            after = self._limits.retry_after_s
            raise overloaded(after, "OVERLOADED", "Too many requests are waiting.")

    @contextmanager
    def request(self) -> Iterator[Holding]:
        """A request from its first byte to its answer; draining waits for it."""
        self.open += 1
        holding = Holding(self)
        try:
            yield holding
        finally:
            self.buffered -= holding.count
            self.open -= 1

    @contextmanager
    def slot(self) -> Iterator[None]:
        """A place in the queue, also while draining: the request was accepted before.

        Raises Problem (503).
        """
        self._check_queue()
        self.running += 1
        try:
            yield
        finally:
            self.running -= 1

    def take(self, count: int) -> None:
        """Account for bytes of an upload. Raises Problem (503) where there is no room."""
        if self.buffered + count > self._limits.max_buffered_bytes:
            raise overloaded(
                self._limits.retry_after_s, "OVERLOADED", "Too many uploads are arriving."
            )
        self.buffered += count

    async def drain(self, timeout_s: float, settle_s: float = SETTLE_S) -> int:
        """Take nothing more on and wait for what is open; returns how many were left.

        It takes ``settle_s`` at least: requests that were sent before may still be on their way
        here, and are to be told that they are not taken on.
        """
        self.draining = True
        clock = asyncio.get_running_loop().time
        begun = clock()
        while clock() < begun + timeout_s and (self.open or clock() < begun + settle_s):
            await asyncio.sleep(0.02)
        return self.open
