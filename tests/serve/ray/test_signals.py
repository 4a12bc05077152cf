"""Signals end the service once; the handlers of before are restored."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from snellen.serve.ray.signals import signals_ignored, wait_for_signal

NUMBERS = (signal.SIGINT, signal.SIGTERM)


@pytest.mark.parametrize("number", NUMBERS)
def test_the_first_signal_is_returned_by_name(number: signal.Signals) -> None:
    before = [signal.getsignal(n) for n in NUMBERS]
    timer = threading.Timer(0.2, os.kill, (os.getpid(), number))
    timer.start()
    assert wait_for_signal() == number.name
    timer.join()
    assert [signal.getsignal(n) for n in NUMBERS] == before


def test_signals_during_stopping_are_ignored() -> None:
    before = [signal.getsignal(n) for n in NUMBERS]
    with signals_ignored():
        for number in NUMBERS:
            os.kill(os.getpid(), number)
    assert [signal.getsignal(n) for n in NUMBERS] == before


def test_another_thread_leaves_the_handlers_alone() -> None:
    seen: list[object] = []

    def work() -> None:
        with signals_ignored():
            seen.append(signal.getsignal(signal.SIGTERM))

    before = signal.getsignal(signal.SIGTERM)
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [before]
