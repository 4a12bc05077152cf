"""Gather requests while the model is busy, and give them to it together when it is free.

A batch is formed when the model can take it, not when a clock says so: a lone request starts at
once, and under load the requests that came meanwhile go together. (``ray.serve.batch`` closes a
batch when its timeout is over, also while the model is busy; see docs/decisions/0008.)
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
    """Items in, one by one; answers back, batch by batch. Belongs to one event loop.

    Args:
        work: turns at most ``max_size`` items into as many answers, in order.
        max_size: items of one batch.
        window_s: how long a batch that is not full waits for company.
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
        """The answer to ``item``, and how many items its batch had.

        A caller that is cancelled takes its item back if its batch has not begun.

        Raises:
            whatever ``work`` raised for the batch.
        """
        future: asyncio.Future[tuple[Out, int]] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future))
        if self._task is None:
            self._task = asyncio.create_task(self._run())
        return await future

    async def close(self) -> None:
        """Stop; what waits is cancelled."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
            self._task = None
        while self._waiting:
            self._waiting.popleft()[1].cancel()

    async def _run(self) -> None:
        # It ends when nothing waits: a task that waited on would keep a model that has made room
        # for another in memory.
        try:
            while self._waiting:
                if self._window_s and len(self._waiting) < self._max_size:
                    await asyncio.sleep(self._window_s)
                batch = self._take()
                if batch:
                    await self._answer(batch)
        finally:
            self._task = None

    def _take(self) -> list[tuple[Item, asyncio.Future[tuple[Out, int]]]]:
        batch: list[tuple[Item, asyncio.Future[tuple[Out, int]]]] = []
        while self._waiting and len(batch) < self._max_size:
            entry = self._waiting.popleft()
            if not entry[1].done():
                batch.append(entry)
        return batch

    async def _answer(self, batch: list[tuple[Item, asyncio.Future[tuple[Out, int]]]]) -> None:
        try:
            answers = await self._work([item for item, _ in batch])
            if len(answers) != len(batch):
                raise RuntimeError(f"{len(answers)} answers for a batch of {len(batch)}")
        except asyncio.CancelledError:
            for _, future in batch:
                future.cancel()
            raise
        except Exception as error:
            for _, future in batch:
                if not future.done():
                    future.set_exception(error)
            return
        for (_, future), answer in zip(batch, answers, strict=True):
            if not future.done():
                future.set_result((answer, len(batch)))
