"""Work of the service that is repeated every hour, beside the requests."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress

from snellen.adapters.errors import SnellenError

_INTERVAL_S = 3600.0


async def repeat_hourly(*works: Callable[[], None]) -> None:
    """Do each work now and every hour, in a thread; what fails is tried again after an hour."""
    while True:
        for work in works:
            with suppress(SnellenError, OSError):
                await asyncio.to_thread(work)
        await asyncio.sleep(_INTERVAL_S)
