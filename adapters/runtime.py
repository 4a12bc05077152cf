"""Settings of the framework's own threads, for callers that must not import it."""

from __future__ import annotations

_threads: int | None = None


def set_compute_threads(count: int) -> None:
    """Let one forward pass on a CPU use ``count`` threads, in every thread of this process."""
    import torch

    global _threads  # noqa: PLW0603 - torch tells each thread its own number
    _threads = count
    if torch.get_num_threads() != count:
        torch.set_num_threads(count)


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
