"""A map on Ray: each part is a task, the answers come in the order of the parts."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

from snellen.adapters.errors import RunError

Part = TypeVar("Part")
Answer = TypeVar("Answer")


def ray_map(function: Callable[[Part], Answer], parts: Iterable[Part]) -> Iterator[Answer]:
    """Apply a function to parts, on all CPUs of the Ray that this process is connected to.

    Twice as many tasks as CPUs are under way, so that neither the answers that wait for their
    turn nor the queue grow with the number of parts.

    Raises:
        RunError: RAY_FAILED, a part could not be computed; its own SnellenError as it is.
    """
    import ray

    task = ray.remote(num_cpus=1)(_call)
    packed = ray.put(function)
    limit = 2 * max(1, int(ray.cluster_resources().get("CPU", 1)))  # type: ignore[no-untyped-call]
    waiting: deque[Any] = deque()
    try:
        for part in parts:
            if len(waiting) >= limit:
                yield _answer(waiting.popleft())
            waiting.append(task.remote(packed, part))
        while waiting:
            yield _answer(waiting.popleft())
    finally:
        for reference in waiting:
            ray.cancel(reference)


def _call(function: Callable[[Any], Any], part: Any) -> Any:
    return function(part)


def _answer(reference: Any) -> Any:
    import ray

    try:
        return ray.get(reference)
    except ray.exceptions.RayTaskError as error:
        raise error.cause from error  # what the function raised
    except ray.exceptions.RayError as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else ""
        raise RunError(
            "RAY_FAILED",
            f"Ray could not finish the metrics: {type(error).__name__}: {reason}. The results are "
            "stored; `snellen resume` goes on from there.",
        ) from error
