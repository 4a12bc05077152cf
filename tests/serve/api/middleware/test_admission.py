"""Admission: a bounded queue, and draining that waits for accepted requests."""

from __future__ import annotations

import asyncio

import pytest

from snellen.serve.api.middleware.admission import Admission
from snellen.serve.api.problems import Problem
from snellen.serve.config import LimitsConfig

pytestmark = pytest.mark.anyio


def admission(**limits: object) -> Admission:
    return Admission(LimitsConfig.model_validate(limits))


async def test_the_queue_is_bounded_and_slots_are_released() -> None:
    queue = admission(max_queued=2, retry_after_s=7)
    with queue.slot(), queue.slot():
        with pytest.raises(Problem) as caught, queue.slot():
            pass
        assert caught.value.code == "OVERLOADED"
        assert caught.value.headers == {"Retry-After": "7"}
        with pytest.raises(Problem):
            queue.check()
    queue.check()
    with pytest.raises(RuntimeError), queue.slot():
        raise RuntimeError
    assert queue.running == 0


async def test_slow_uploads_take_no_slot_in_the_queue() -> None:
    queue = admission(max_queued=1)
    with queue.request(), queue.request(), queue.slot():
        assert (queue.open, queue.running) == (2, 1)


async def test_draining_rejects_new_requests_and_waits_for_open_ones() -> None:
    queue = admission()

    async def request() -> None:
        with queue.request():
            await asyncio.sleep(0.1)
            with queue.slot():  # the body has arrived: the request was accepted before
                pass

    task = asyncio.create_task(request())
    await asyncio.sleep(0)
    draining = asyncio.create_task(queue.drain(5.0, settle_s=0.0))
    await asyncio.sleep(0.02)
    with pytest.raises(Problem, match="being stopped"):
        queue.check()
    assert not draining.done()
    assert await draining == 0
    await task


async def test_draining_ends_even_if_a_request_does_not() -> None:
    queue = admission()
    with queue.request():
        assert await queue.drain(0.05) == 1
