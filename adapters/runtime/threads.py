"""Settings of the framework's own threads, for callers that must not import it."""

from __future__ import annotations

import os
import sys

_threads: int | None = None


def set_compute_threads(count: int) -> None:
    """Let one forward pass on a CPU use ``count`` threads, in every thread of this process."""
    import torch

    global _threads  # noqa: PLW0603 - torch tells each thread its own number
    _threads = count
    if torch.get_num_threads() != count:
        torch.set_num_threads(count)


def let_threads_sleep() -> bool:
    """Let the threads of a forward pass sleep while they wait for one another.

    By default they spin: on cores that others use too, a forward pass then takes ten times as long
    and more. OpenMP reads this once, when it is loaded.

    Returns:
        Whether it came in time: torch was not imported yet.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    return "torch" not in sys.modules


def compute_threads() -> int:
    """The number that was set last; torch's own where nobody set one.

    For frameworks with threads of their own.
    """
    if _threads is not None:
        return _threads
    import torch

    return torch.get_num_threads()


def has_cuda() -> bool:
    """Whether this process sees a CUDA device."""
    import torch

    return bool(torch.cuda.is_available())
