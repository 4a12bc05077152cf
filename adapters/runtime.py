"""Settings of the framework's own threads, for callers that must not import it."""

from __future__ import annotations


def set_compute_threads(count: int) -> None:
    """Let one forward pass on a CPU use ``count`` threads, in every thread of this process."""
    import torch

    if torch.get_num_threads() != count:
        torch.set_num_threads(count)


def has_cuda() -> bool:
    """Whether this process sees a CUDA device."""
    import torch

    return bool(torch.cuda.is_available())
