"""The folder of a run, and the lock that keeps two runs out of one output."""

from __future__ import annotations

import fcntl
import json
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from snellen.adapters.errors import InputError
from snellen.store.leases import LEASE_SECONDS, owner_id, owner_is_dead

DEFAULT_ROOT = Path("runs")
_LOCK = ".snellen.lock"
_GUARD = ".snellen.lock.guard"


def output_root(configured: str) -> Path:
    """The absolute folder that ``output.dir`` means, created where it is missing.

    Raises:
        InputError: OUTPUT_NOT_WRITABLE.
    """
    root = (DEFAULT_ROOT if configured == "auto" else Path(configured).expanduser()).absolute()
    try:
        root.mkdir(parents=True, exist_ok=True)
        probe = root / f".snellen-write-{os.getpid()}"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise InputError(
            "OUTPUT_NOT_WRITABLE",
            f"output.dir: '{root}' cannot be written to: {error.strerror or error}.",
        ) from None
    return root


def make_run_folder(root: Path, run_id: int, name: str) -> Path:
    """Create the folder of a run, ``<id>-<name>``; another database may have taken that name."""
    slug = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.")[:60] or "run"
    for suffix in ("", *(f"-{n}" for n in range(2, 1000))):
        folder = root / f"{run_id}-{slug}{suffix}"
        try:
            folder.mkdir()
        except FileExistsError:
            continue
        (folder / "units").mkdir()
        return folder
    raise InputError("OUTPUT_TAKEN", f"output.dir: '{root}' has no free folder for run {run_id}.")


class OutputLock:
    """At most one run at a time writes into a folder that a configuration names.

    The lock is a file that names its owner and is touched while the run lives. It is stale when
    its owner is a dead process of this host, or has not touched it for 60 s. Taking and breaking
    it happen under ``flock`` on a guard file, so of twenty starts exactly one wins.
    """

    def __init__(self, root: Path) -> None:
        self._path = root / _LOCK
        self._guard = root / _GUARD
        self._held = False

    def acquire(self, run: str) -> OutputLock:
        """Take the lock.

        Args:
            run: what the owner is doing, for the message that others get.

        Raises:
            InputError: OUTPUT_LOCKED, naming the owner.
        """
        with self._guarded():
            holder = self._read()
            if holder is not None and not self._stale(holder):
                host, pid, *_ = [*str(holder.get("owner", "?:?")).rsplit(":", 3), "?"]
                raise InputError(
                    "OUTPUT_LOCKED",
                    f"output.dir: '{self._path.parent}' is in use by {holder.get('run', 'a run')} "
                    f"(process {pid} on {host}, since {holder.get('since', '?')}). Wait for it, "
                    "or give this run another output.dir.",
                )
            since = time.strftime("%Y-%m-%d %H:%M:%S")
            text = json.dumps({"owner": owner_id(), "run": run, "since": since})
            temporary = self._path.with_suffix(f".{os.getpid()}")
            temporary.write_text(text)
            temporary.replace(self._path)
            self._held = True
        return self

    def touch(self) -> None:
        """Say that the owner lives."""
        if self._held:
            os.utime(self._path)

    def release(self) -> None:
        """Give the lock back."""
        if self._held:
            with self._guarded():
                holder = self._read()
                if holder is not None and holder.get("owner") == owner_id():
                    self._path.unlink(missing_ok=True)
            self._held = False

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        descriptor = os.open(self._guard, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def _read(self) -> dict[str, Any] | None:
        try:
            found = json.loads(self._path.read_text())
        except (FileNotFoundError, ValueError):
            return None
        return found if isinstance(found, dict) else None

    def _stale(self, holder: dict[str, Any]) -> bool:
        if owner_is_dead(str(holder.get("owner", ""))):
            return True
        try:
            return time.time() - self._path.stat().st_mtime > LEASE_SECONDS
        except FileNotFoundError:
            return True
