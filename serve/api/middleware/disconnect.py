"""Cancel work when the client disconnects."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from starlette.requests import ClientDisconnect
from starlette.types import Receive

Result = TypeVar("Result")
CLIENT_CLOSED_REQUEST = 499
"""Status in the metrics for a client that disconnected before its response, as in nginx."""


async def cancel_on_disconnect(receive: Receive, work: Coroutine[Any, Any, Result]) -> Result:
    """Await ``work`` and cancel it if the client disconnects first.

    Args:
        receive: of a request whose body has been read.
        work: a coroutine that has not started.

    Returns:
        The result of ``work``.

    Raises:
        ClientDisconnect: the client disconnected; ``work`` has ended.
    """
    working = asyncio.create_task(work)
    watching = asyncio.create_task(_disconnected(receive))
    try:
        await asyncio.wait((working, watching), return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise ClientDisconnect
        return working.result()
    finally:
        for task in (working, watching):
            task.cancel()
        # Slots and bytes that the work holds are released only when it has ended.
        await asyncio.gather(working, watching, return_exceptions=True)


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
