"""One note about lost workers and nodes, in place of Ray Data's traceback per task.

The units of a lost worker do not come back, and the caller scores them again, so such an error is
no failure of the run. Ray Data logs each of them with its traceback.
"""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from snellen.pipelines.progress import Reporter

_LOGGER = "ray.data._internal.execution.streaming_executor_state"
_IGNORED = "Ignoring this exception with remaining max_errored_blocks"
_REACH_S = 2.0
_LOOK_S = 10.0


class LostWorkers(logging.Filter):
    """Counts the tasks that were lost, and notes the reason once per node and per pass.

    `watch` must be entered, and `tell` called, by the thread that may write to the reporter; Ray
    Data logs in a thread of its own.
    """

    def __init__(self, reporter: Reporter) -> None:
        super().__init__()
        self._reporter = reporter
        self._lost_tasks = 0
        self._looked = 0.0
        self._told_worker = False
        self._nodes: dict[str, dict[str, Any]] = {}
        self._told_nodes: set[str] = set()

    def filter(self, record: logging.LogRecord) -> bool:
        """Count the log record of a lost task, and drop it unless the reporter shows everything."""
        if _IGNORED not in record.getMessage():
            return True
        self._lost_tasks += 1
        return self._reporter.debug

    @contextmanager
    def watch(self) -> Iterator[None]:
        """Watch a pass over the units."""
        self._told_worker = False
        self._looked = time.monotonic()
        self._nodes |= _living_nodes()
        logger = logging.getLogger(_LOGGER)
        logger.addFilter(self)
        try:
            yield
        finally:
            logger.removeFilter(self)

    def tell(self, *, at_end: bool = False) -> None:
        """Note what was lost since the last call.

        Ray retries the tasks of a node that it declares dead, which then are not lost; so the
        nodes are looked at every few seconds, and ``at_end`` of a pass, without a lost task, too.
        """
        tasks, self._lost_tasks = self._lost_tasks, 0
        if not tasks and not at_end and time.monotonic() - self._looked < _LOOK_S:
            return
        self._looked = time.monotonic()
        left = _living_nodes()
        lost = {i for i in self._nodes if i not in left or (tasks and not _is_reachable(left[i]))}
        for node in sorted(lost - self._told_nodes):
            found = self._nodes[node]
            self._reporter.note(
                f"Lost node {found['NodeManagerAddress']} ({found['NodeManagerHostname']}), "
                f"{len(self._nodes) - len(lost)} of {len(self._nodes)} nodes are left. Its units "
                "are scored again"
            )
        if tasks and not lost and not self._told_worker:
            self._reporter.note("Lost a worker process. Its units are scored again")
            self._told_worker = True
        self._told_nodes |= lost


def _living_nodes() -> dict[str, dict[str, Any]]:
    import ray

    nodes = ray.nodes()  # type: ignore[no-untyped-call]
    return {node["NodeID"]: node for node in nodes if node["Alive"]}


def _is_reachable(node: dict[str, Any]) -> bool:
    """Return False where nobody listens any more; Ray takes some 15 s to declare a node dead."""
    with suppress(OSError):
        place = (node["NodeManagerAddress"], node["NodeManagerPort"])
        socket.create_connection(place, timeout=_REACH_S).close()
        return True
    return False
