"""Continuous batching: queue requests while the model is busy, and run them together.

A batch is formed when the model is free, not when a timer fires: a single request starts
immediately, and under load the requests that arrived in the meantime share a batch.
(``ray.serve.batch`` closes a batch when its timeout expires, even while the model is busy; see
docs/decisions/0008.)
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Generic, TypeVar

Item = TypeVar("Item")
Out = TypeVar("Out")


class Batcher(Generic[Item, Out]):
    """Process single items in batches. Belongs to one event loop.

    Args:
        work: returns one output per item, in order.
        max_size: maximum number of items in a batch.
        window_s: maximum time to wait for a batch to fill, in seconds.
    """

    def __init__(
        self,
        work: Callable[[Sequence[Item]], Awaitable[Sequence[Out]]],
        *,
        max_size: int,
        window_s: float = 0.0,
    ) -> None:
        self._work = work
        self._max_size = max_size
        self._window_s = window_s
        self._waiting: deque[tuple[Item, asyncio.Future[tuple[Out, int]]]] = deque()
        self._task: asyncio.Task[None] | None = None

    async def submit(self, item: Item) -> tuple[Out, int]:
        """Process an item in a batch.

        Cancelling the call removes the item from the queue, unless its batch has started.

        Returns:
            The output for ``item``, and the number of items in its batch.

        Raises:
            Exception: the exception that ``work`` raised for the batch.
        """
        future: asyncio.Future[tuple[Out, int]] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future))
        if self._task is None:
            self._task = asyncio.create_task(self._run())
        return await future

    async def close(self) -> None:
        """Stop, and cancel queued items."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
            self._task = None
        while self._waiting:
            self._waiting.popleft()[1].cancel()

    async def _run(self) -> None:
        # The task ends when the queue is empty: a waiting task would keep an unloaded model in
        # memory.
        try:
            while self._waiting:
                if self._window_s and len(self._waiting) < self._max_size:
                    await asyncio.sleep(self._window_s)
                batch = self._take()
                if batch:
                    await self._process(batch)
        finally:
            self._task = None

    def _take(self) -> list[tuple[Item, asyncio.Future[tuple[Out, int]]]]:
        batch: list[tuple[Item, asyncio.Future[tuple[Out, int]]]] = []
        while self._waiting and len(batch) < self._max_size:
            entry = self._waiting.popleft()
            if not entry[1].done():
                batch.append(entry)
        return batch

    async def _process(self, batch: list[tuple[Item, asyncio.Future[tuple[Out, int]]]]) -> None:
        try:
            outputs = await self._work([item for item, _ in batch])
            if len(outputs) != len(batch):
                raise RuntimeError(f"{len(outputs)} outputs for a batch of {len(batch)}")
        except asyncio.CancelledError:
            for _, future in batch:
                future.cancel()
            raise
        except Exception as error:
            for _, future in batch:
                if not future.done():
                    future.set_exception(error)
            return
        for (_, future), output in zip(batch, outputs, strict=True):
            if not future.done():
                future.set_result((output, len(batch)))
