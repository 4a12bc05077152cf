"""Batching: a free model starts immediately; items that arrive while it is busy share a batch."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from snellen.serve.inference.batcher import Batcher

pytestmark = pytest.mark.anyio


class Model:
    """A model that doubles numbers while its gate is open, and records its batches."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.gate = asyncio.Event()
        self.gate.set()

    async def __call__(self, items: Sequence[int]) -> list[int]:
        self.batches.append(list(items))
        await self.gate.wait()
        if 13 in items:
            raise ValueError("unlucky")
        return [2 * item for item in items]


async def settled() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def test_a_single_item_starts_immediately() -> None:
    model = Model()
    batcher = Batcher(model, max_size=8)
    assert await batcher.submit(3) == (6, 1)
    assert model.batches == [[3]]
    await batcher.close()


async def test_items_that_arrive_while_the_model_is_busy_share_a_batch() -> None:
    model = Model()
    model.gate.clear()
    batcher = Batcher(model, max_size=3)
    tasks = [asyncio.create_task(batcher.submit(item)) for item in range(6)]
    await settled()
    # The items that were queued when the model was free run first, at most three.
    assert model.batches == [[0, 1, 2]]
    later = [asyncio.create_task(batcher.submit(item)) for item in (6, 7)]
    model.gate.set()
    outputs = await asyncio.gather(*tasks, *later)
    assert [output for output, _ in outputs] == [2 * item for item in range(8)]
    assert model.batches == [[0, 1, 2], [3, 4, 5], [6, 7]]
    assert outputs[-1][1] == 2
    await batcher.close()


async def test_a_window_waits_for_the_batch_to_fill() -> None:
    model = Model()
    batcher = Batcher(model, max_size=8, window_s=0.05)
    first = asyncio.create_task(batcher.submit(1))
    await asyncio.sleep(0.01)
    second = asyncio.create_task(batcher.submit(2))
    await asyncio.gather(first, second)
    assert model.batches == [[1, 2]]
    await batcher.close()


async def test_an_error_affects_only_its_batch() -> None:
    model = Model()
    batcher = Batcher(model, max_size=1)
    outputs = await asyncio.gather(
        *(batcher.submit(item) for item in (1, 13, 2)), return_exceptions=True
    )
    assert outputs[0] == (2, 1)
    assert isinstance(outputs[1], ValueError)
    assert outputs[2] == (4, 1)
    await batcher.close()


async def test_a_cancelled_item_leaves_the_queue() -> None:
    model = Model()
    model.gate.clear()
    batcher = Batcher(model, max_size=2)
    running = asyncio.create_task(batcher.submit(1))
    await settled()
    waiting = [asyncio.create_task(batcher.submit(item)) for item in (2, 3, 4)]
    await settled()
    waiting[0].cancel()
    await settled()
    model.gate.set()
    await asyncio.gather(running, *waiting, return_exceptions=True)
    assert model.batches == [[1], [3, 4]]
    await batcher.close()


async def test_too_few_outputs_are_an_error() -> None:
    async def work(items: Sequence[int]) -> list[int]:
        return []

    batcher: Batcher[int, int] = Batcher(work, max_size=2)
    with pytest.raises(RuntimeError, match="0 outputs for a batch of 1"):
        await batcher.submit(1)
    await batcher.close()


async def test_closing_cancels_queued_items() -> None:
    model = Model()
    model.gate.clear()
    batcher = Batcher(model, max_size=1)
    tasks = [asyncio.create_task(batcher.submit(item)) for item in (1, 2)]
    await settled()
    await batcher.close()
    found = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(one, asyncio.CancelledError) for one in found)
