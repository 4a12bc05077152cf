"""Compute threads and devices of torch, for callers that must not import it."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

_threads: int | None = None


def set_compute_threads(count: int) -> None:
    """Set the number of threads of one forward pass on a CPU, for every thread of this process."""
    import torch

    global _threads  # noqa: PLW0603 - torch keeps one number per thread
    _threads = count
    if torch.get_num_threads() != count:
        torch.set_num_threads(count)


def let_threads_sleep() -> bool:
    """Let the threads of a forward pass sleep while they wait for one another.

    By default they spin, which makes a forward pass ten times slower and more on cores that other
    processes use too. OpenMP reads the setting once, when it is loaded.

    Returns:
        True if torch was not imported yet, so that the setting has an effect.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    return "torch" not in sys.modules


@contextmanager
def one_compute_thread() -> Iterator[None]:
    """Let this thread compute alone: loading a model is thousands of small operations.

    Several threads would wait for one another longer than they compute.
    """
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def compute_threads() -> int:
    """Return the number of threads that was set last, or torch's default.

    For frameworks with threads of their own.
    """
    if _threads is not None:
        return _threads
    import torch

    return torch.get_num_threads()


def count_cuda() -> int:
    """Return the number of CUDA devices that this process sees."""
    import torch

    return int(torch.cuda.device_count())


def has_cuda() -> bool:
    """Return True if this process sees a CUDA device."""
    import torch

    return bool(torch.cuda.is_available())
