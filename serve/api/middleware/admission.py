"""Admission control: a bounded queue, bounded memory for uploads, and draining."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from starlette.datastructures import Headers
from starlette.types import Scope

from snellen.serve.api.problems import Problem, overloaded
from snellen.serve.api.uploads.upload_paths import upload_route
from snellen.serve.config import LimitsConfig

SETTLE_S = 1.0
"""Seconds after which a request that a client has sent has surely arrived."""


class Reservation:
    """The bytes that one request holds in memory until its response is sent."""

    def __init__(self, admission: Admission) -> None:
        self._admission = admission
        self.size = 0

    def add(self, count: int) -> None:
        """Reserve ``count`` more bytes.

        Raises:
            Problem: 503, there is no room.
        """
        self._admission.reserve(count)
        self.size += count


class Admission:
    """Count the requests and upload bytes of one process. Belongs to one event loop.

    Uploads that are still arriving take memory but no slot in the queue, so that slow clients
    cannot block others.

    Attributes:
        running: images that hold a slot: waiting for the model or running.
        open: requests between their first byte and their response.
        buffered: bytes of uploads in memory.
        draining: no new requests are accepted.
    """

    def __init__(self, limits: LimitsConfig) -> None:
        self._limits = limits
        self.running = 0
        self.open = 0
        self.buffered = 0
        self.draining = False

    def check(self) -> None:
        """Reject a request before its body is read.

        Raises:
            Problem: 503, the service is stopping or the queue is full.
        """
        if self.draining:
            after = self._limits.retry_after_s
            raise overloaded(after, "DRAINING", "The service is being stopped.")
        self._check_queue()

    def _check_queue(self, images: int = 1) -> None:
        if self.running + images > self._limits.max_queued:
            after = self._limits.retry_after_s
            raise overloaded(
                after, "OVERLOADED", "Too many requests are waiting (limits.max_queued)."
            )

    @contextmanager
    def request(self) -> Iterator[Reservation]:
        """Keep a request open; draining waits for it. Its bytes are released at the end."""
        self.open += 1
        reservation = Reservation(self)
        try:
            yield reservation
        finally:
            self.buffered -= reservation.size
            self.open -= 1

    @contextmanager
    def slot(self, images: int = 1) -> Iterator[None]:
        """Hold slots in the queue; also while draining, for requests accepted before.

        Args:
            images: number of images of the request; each takes a slot.

        Raises:
            Problem: 503, the queue is full.
        """
        self._check_queue(images)
        self.running += images
        try:
            yield
        finally:
            self.running -= images

    def reserve(self, count: int) -> None:
        """Reserve ``count`` bytes for an upload.

        Raises:
            Problem: 503, there is no room.
        """
        if self.buffered + count > self._limits.max_buffered_bytes:
            raise overloaded(
                self._limits.retry_after_s,
                "OVERLOADED",
                "Too many bytes of uploads are in memory (limits.max_buffered_bytes).",
            )
        self.buffered += count

    async def drain(self, timeout_s: float, settle_s: float = SETTLE_S) -> int:
        """Stop accepting requests and wait for the open ones.

        Args:
            timeout_s: maximum time to wait, in seconds.
            settle_s: minimum time to wait: requests that were sent earlier may still be in
                transit, and need a response too.

        Returns:
            The number of requests that are still open.
        """
        self.draining = True
        clock = asyncio.get_running_loop().time
        begun = clock()
        while clock() < begun + timeout_s and (self.open or clock() < begun + settle_s):
            await asyncio.sleep(0.02)
        return self.open


class AdmissionCheck:
    """Reject uploads before they are read if the queue is full.

    Under overload, the cost of a rejection is taken from the requests that were accepted.
    """

    def __init__(self, admission: Admission) -> None:
        self._admission = admission

    def __call__(self, scope: Scope, _: Headers) -> Problem | None:
        """Return a problem (503), or None to accept the request."""
        if scope["method"] != "POST" or upload_route(scope["path"]) is None:
            return None
        try:
            self._admission.check()
        except Problem as problem:
            return problem
        return None
