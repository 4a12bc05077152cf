"""Map a function over parts on Ray; results come in the order of the parts."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

from snellen.adapters.errors import RunError

Part = TypeVar("Part")
Result = TypeVar("Result")


def ray_map(function: Callable[[Part], Result], parts: Iterable[Part]) -> Iterator[Result]:
    """Apply a function to each part as a task, on all CPUs of the connected Ray.

    At most twice as many tasks as CPUs are submitted at a time, so that memory does not grow with
    the number of parts.

    Raises:
        RunError: RAY_FAILED, a part could not be computed.
        SnellenError: raised by the function itself.
    """
    import ray

    task = ray.remote(num_cpus=1)(_call)
    packed = ray.put(function)
    limit = 2 * max(1, int(ray.cluster_resources().get("CPU", 1)))  # type: ignore[no-untyped-call]
    waiting: deque[Any] = deque()
    try:
        for part in parts:
            if len(waiting) >= limit:
                yield _result(waiting.popleft())
            waiting.append(task.remote(packed, part))
        while waiting:
            yield _result(waiting.popleft())
    finally:
        for reference in waiting:
            ray.cancel(reference)


def _call(function: Callable[[Any], Any], part: Any) -> Any:
    return function(part)


def _result(reference: Any) -> Any:
    import ray

    try:
        return ray.get(reference)
    except ray.exceptions.RayTaskError as error:
        raise error.cause from error  # what the function raised
    except ray.exceptions.RayError as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else ""
        raise RunError(
            "RAY_FAILED",
            f"Ray could not compute the metrics: {type(error).__name__}: {reason}. The results are "
            "stored. Fix: snellen resume",
        ) from error
