"""Cancel runs and inference jobs."""

from __future__ import annotations

import time
from collections.abc import Callable

from snellen.pipelines.runs.kinds import RunKind
from snellen.store.leases import request_cancel
from snellen.store.sql.database import Database
from snellen.store.views import AnyRun

_POLL_SECONDS = 0.2


def cancel_run(
    db: Database,
    kind: RunKind,
    reference: int | str,
    *,
    timeout: float = 60.0,
    waiting: Callable[[], None] = lambda: None,
) -> AnyRun:
    """Cancel a run, and wait until its owner has stopped; it can be resumed later.

    Args:
        db: the open database.
        kind: the kind of run.
        reference: id, name or ``latest``.
        timeout: seconds to wait for the owner. It keeps the request and stops when it can.
        waiting: called once if there is an owner to wait for.

    Returns:
        The run's row: ``cancelled``; or ``running`` with ``cancel_requested`` after the timeout;
        or how the run ended if it was quicker.

    Raises:
        InputError: RUN_NOT_FOUND; RUN_COMPLETED, there is nothing to cancel.
    """
    run: AnyRun = kind.get(db, reference)
    if request_cancel(db, kind.name, run.id) == "running":
        waiting()
        until = time.monotonic() + timeout
        while time.monotonic() < until and kind.get(db, run.id).status == "running":
            time.sleep(_POLL_SECONDS)
    found: AnyRun = kind.get(db, run.id)
    return found
