"""A small process that ends the processes of an embedded Ray when their owner was killed.

Ray's daemons die with the process that started them, but some of their children notice that only
after a minute or later. A process that is killed cannot clean up, so another one has to.

Run as ``python -m snellen.pipelines.execution.ray.watchdog PID SESSION``.
"""

from __future__ import annotations

import subprocess
import sys
import time
from contextlib import suppress

import psutil

_POLL_S = 1.0
_GRACE_S = 3.0
"""Time in which workers end by themselves after their owner, in seconds."""


def start_watchdog(pid: int, session: str) -> subprocess.Popen[bytes]:
    """Start the watchdog of a process; end it with ``terminate()`` after Ray has been stopped.

    Args:
        pid: the process that started Ray.
        session: name of Ray's session, which is in the command lines of its daemons.
    """
    # Its own session: a signal to the terminal's group must not end it before Ray.
    return subprocess.Popen(
        [sys.executable, "-m", __spec__.name, str(pid), session],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def watch(pid: int, session: str) -> None:
    """Wait until a process has ended, then end the Ray processes that it left behind."""
    owned: set[psutil.Process] = set()
    with suppress(psutil.Error):
        owner = psutil.Process(pid)
        while owner.is_running() and owner.status() != psutil.STATUS_ZOMBIE:
            owned |= _ray_processes(owner, session)
            time.sleep(_POLL_S)
    _, left = psutil.wait_procs(list(owned), timeout=_GRACE_S)
    for process in left:
        with suppress(psutil.Error):  # compares the start time: a reused pid is not killed
            process.kill()


def _ray_processes(owner: psutil.Process, session: str) -> set[psutil.Process]:
    """Return the daemons of a session and everything below them."""
    found: set[psutil.Process] = set()
    for child in owner.children():
        with suppress(psutil.Error):
            if any(session in word for word in child.cmdline()):
                found |= {child, *child.children(recursive=True)}
    return found


if __name__ == "__main__":
    watch(int(sys.argv[1]), sys.argv[2])
