"""Signals of ``snellen serve``: wait for the first, ignore further ones while stopping."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def signals_ignored() -> Iterator[None]:
    """Ignore further signals, so that they cannot interrupt stopping."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {n: signal.signal(n, signal.SIG_IGN) for n in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def wait_for_signal() -> str:
    """Wait for SIGINT or SIGTERM, and return its name."""
    caught: list[int] = []
    arrived = threading.Event()

    def note(number: int, _: FrameType | None) -> None:
        caught.append(number)
        arrived.set()

    before = {n: signal.signal(n, note) for n in (signal.SIGINT, signal.SIGTERM)}
    try:
        while not arrived.wait(0.5):
            pass
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    return signal.Signals(caught[0]).name
