"""Wait for something that other processes do."""

from __future__ import annotations

import time
from collections.abc import Callable


def wait_until(reached: Callable[[], object], seconds: float = 30.0) -> None:
    """Wait until a condition holds, and fail if it takes too long."""
    deadline = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < deadline
        time.sleep(0.05)
