"""Own a run while it is worked on: its lease, its heartbeat, and how it ends."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from types import FrameType
from typing import Any

from snellen.adapters.errors import RunCancelled, RunError, RunInterrupted, SnellenError
from snellen.adapters.passwords import hide_passwords
from snellen.pipelines.runs.kinds import RunContext
from snellen.store.leases import HEARTBEAT_SECONDS, Beat, Lease, acquire, heartbeat, lost, release
from snellen.store.ledger import committed_units
from snellen.store.runs import update_run
from snellen.store.sql.database import Database
from snellen.store.views import AnyRun

_WAKE = signal.SIGUSR1
"""Interrupts the main thread, whatever it waits for, when the run is to be cancelled."""


class Heartbeat:
    """A thread that keeps the lease alive, and listens for a cancel request.

    `check` raises when the lease is lost or the run is to be cancelled. In the main thread a
    cancel request is also raised as KeyboardInterrupt, in the middle of whatever it waits for.
    """

    def __init__(self, db: Database, lease: Lease) -> None:
        self.cancelled = False
        self._db = db
        self._lease = lease
        self._done = threading.Event()
        self._lost = threading.Event()
        self._owner = threading.current_thread()
        self._before: Any = None
        self._thread = threading.Thread(target=self._beat, name="snellen-heartbeat", daemon=True)

    def __enter__(self) -> Heartbeat:
        if self._owner is threading.main_thread():
            self._before = signal.signal(_WAKE, _interrupt)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        try:
            self._thread.join()
        except KeyboardInterrupt:
            # A cancel request for a run that has ended meanwhile is of no consequence.
            if not self.cancelled:
                raise
            self._thread.join()
        finally:
            if self._owner is threading.main_thread():
                signal.signal(_WAKE, self._before)

    def check(self) -> None:
        """Raise LeaseLost if another process owns the run now, RunCancelled if it is to stop."""
        if self._lost.is_set():
            raise lost(self._lease)
        if self.cancelled:
            raise RunCancelled("CANCELLED", "cancelled")

    def _beat(self) -> None:
        while not self._done.wait(HEARTBEAT_SECONDS):
            # A database that is locked or unreachable for a moment: the next beat tries again,
            # and the ledger rejects a commit if the lease was lost meanwhile.
            with suppress(SnellenError, OSError):
                beat = heartbeat(self._db, self._lease)
                if beat is Beat.LOST:
                    self._lost.set()
                    return
                if beat is Beat.CANCEL:
                    self._cancel()
                    return

    def _cancel(self) -> None:
        self.cancelled = True
        ident = self._owner.ident
        if self._owner is threading.main_thread() and ident is not None:
            signal.pthread_kill(ident, _WAKE)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


@dataclass(slots=True)
class OwnedRun:
    """A run that this process holds.

    Attributes:
        context: what it is executed with.
        lease: the right to write it.
        heart: keeps the lease alive.
        started: units are being scored, so that there is something to resume.
        damaged: units of the ledger were dropped, because their files are damaged.
    """

    context: RunContext
    lease: Lease
    heart: Heartbeat
    started: bool = False
    damaged: bool = False

    def row(self) -> AnyRun:
        """Read the run's row."""
        return self.context.row(self.lease.run_id)

    def update(self, **columns: Any) -> None:
        """Set columns of the run's row.

        Raises:
            LeaseLost: another process owns the run now.
        """
        update_run(self.context.db, self.lease, **columns)

    def release(self, status: str, **columns: Any) -> None:
        """Give the lease up and set the run's status."""
        release(self.context.db, self.lease, status=status, **columns)


@contextmanager
def owned_run(context: RunContext, run: AnyRun) -> Iterator[OwnedRun]:
    """Hold a run; when the block raises, the run's row says how it ended.

    ======================================  ====================================================
    the block raises                        status afterwards
    ======================================  ====================================================
    KeyboardInterrupt                       ``cancelled`` on a cancel request, else
                                            ``interrupted``
    ConfigError, InputError, before units   as before (``interrupted`` after a crash, and for a
    are scored                              completed run with damaged files); ``failed`` for a
                                            run that never began
    anything else                           ``failed``, with the message
    ======================================  ====================================================

    Args:
        context: what the run is executed with.
        run: the row as it was read; the lease is taken only if its status is still the same.

    Raises:
        InputError: RUN_BUSY, RUN_STATUS: another process was quicker.
        RunInterrupted, RunCancelled: instead of the KeyboardInterrupt.
    """
    lease = acquire(context.db, context.kind.name, run.id, status=run.status)
    heart = Heartbeat(context.db, lease)
    owned = OwnedRun(context, lease, heart)
    try:
        with heart:
            yield owned
    except (KeyboardInterrupt, RunCancelled):
        owned.release(
            "cancelled" if heart.cancelled else "interrupted",
            error_message="cancelled" if heart.cancelled else "interrupted",
        )
        raise _stopped(owned) from None
    except SnellenError as error:
        if owned.started or isinstance(error, RunError) or run.status == "pending":
            owned.release("failed", error_message=error.message)
        else:
            owned.release(**_as_before(run, damaged=owned.damaged))
        raise
    except BaseException as error:
        owned.release("failed", error_message=hide_passwords(f"{type(error).__name__}: {error}"))
        raise


def _as_before(run: AnyRun, *, damaged: bool) -> dict[str, Any]:
    """Return the columns of a run that could not be resumed."""
    if run.status == "completed" and not damaged:
        return {"status": run.status, "completed_at": run.completed_at}
    status = run.status if run.status in {"failed", "cancelled"} else "interrupted"
    return {"status": status, "error_message": run.error_message}


def _stopped(owned: OwnedRun) -> RunInterrupted:
    """Return the error that tells a person what is kept and how to resume it."""
    run = owned.row()
    records = committed_units(owned.context.db, owned.lease.kind, run.id)
    done = sum(record.rows for record in records)
    words = owned.context.kind.words
    kind = RunCancelled if owned.heart.cancelled else RunInterrupted
    code = "CANCELLED" if owned.heart.cancelled else "INTERRUPTED"
    return kind(
        code,
        f"{words.noun} {run.id} was {code.lower()}; {done:,} of {run.total_images or 0:,} images "
        f"are committed. Resume with: {words.resume.format(run.id)}",
    )
