"""Draw the progress of a run: a bar in a terminal, plain lines elsewhere, always on stderr."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from pipelines.reporter import Reporter

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress
    from rich.status import Status

_LINE_SECONDS = 5.0


@contextmanager
def make_reporter(*, debug: bool) -> Iterator[Reporter]:
    """The reporter for this terminal; without ``debug`` C libraries' own chatter is silenced."""
    from rich.console import Console

    stream = sys.stderr if debug else _own_stderr()
    console = Console(file=stream, highlight=False)
    reporter = TerminalReporter(console) if console.is_terminal else PlainReporter(console)
    try:
        yield reporter
    finally:
        reporter.close()


def _own_stderr() -> Any:
    """A stream of our own to stderr, after pointing the C level's stderr elsewhere.

    Ray's C++ core prints notices that no environment variable turns off; Python's own errors
    still arrive, because ``sys.stderr`` is moved to the new stream, too.
    """
    try:
        descriptor = os.dup(2)
    except OSError:
        return sys.stderr
    stream = os.fdopen(descriptor, "w", buffering=1)
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    sys.stderr = stream
    return stream


def _duration(seconds: float) -> str:
    whole = int(seconds)
    if whole >= 3600:
        return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
    return f"{whole // 60} min {whole % 60:02d} s" if whole >= 60 else f"{whole} s"


class PlainReporter(Reporter):
    """Lines for logs: every status once, progress every few seconds."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._total = self._done = self._first = 0
        self._began = self._printed = 0.0
        self._last_status = ""

    def status(self, text: str) -> None:
        """Print a status, but not every step of a count."""
        kind = text.split(":")[0]
        now = time.monotonic()
        if kind != self._last_status or now - self._printed > _LINE_SECONDS:
            self._print(f"{text} ...")
            self._last_status, self._printed = kind, now

    def note(self, text: str) -> None:
        """Print a note."""
        self._print(f"  {text}")

    def begin(self, total: int, done: int) -> None:
        """Start counting."""
        self._total, self._done, self._first = total, done, done
        self._began = self._printed = time.monotonic()
        if done:
            self._print(f"  {done:,} of {total:,} images are committed already")

    def advance(self, rows: int, failed: int, metric: tuple[str, float] | None) -> None:
        """Print a line if the last one is some seconds old."""
        self._done += rows
        now = time.monotonic()
        if now - self._printed < _LINE_SECONDS and self._done < self._total:
            return
        self._printed = now
        rate = (self._done - self._first) / max(now - self._began, 1e-9)
        left = _duration((self._total - self._done) / rate) if rate > 0 else "?"
        text = f"{self._done:,} of {self._total:,} images, {rate:,.0f} images/s, {left} left"
        text += f", {failed:,} failed"
        if metric is not None:
            text += f", {metric[0]} {metric[1]:.4f}"
        self._print(text)

    def close(self) -> None:
        """Nothing is held."""

    def _print(self, text: str) -> None:
        self._console.print(text, soft_wrap=True, markup=False)


class TerminalReporter(Reporter):
    """A spinner while something is waited for, then a bar with rate and time left."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._status: Status | None = None
        self._progress: Progress | None = None
        self._task: Any = None

    def status(self, text: str) -> None:
        """Show what is waited for."""
        if self._progress is not None:
            self._progress.update(self._task, description=text)
        elif self._status is not None:
            self._status.update(text)
        else:
            self._status = self._console.status(text)
            self._status.start()

    def note(self, text: str) -> None:
        """Print a line above whatever moves."""
        self._console.print(f"  {text}", markup=False)

    def begin(self, total: int, done: int) -> None:
        """Replace the spinner by a bar."""
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        self._stop_status()
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.completed:,}/{task.total:,}"),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(elapsed_when_finished=True),
            TextColumn("{task.fields[info]}"),
            console=self._console,
        )
        self._progress.start()
        self._task = self._progress.add_task(
            "starting workers", total=total, completed=done, info="", rate=""
        )
        self._began, self._first = time.monotonic(), done

    def advance(self, rows: int, failed: int, metric: tuple[str, float] | None) -> None:
        """Move the bar."""
        if self._progress is None:
            return
        info = f"{failed:,} failed" if failed else ""
        if metric is not None:
            info += f"{', ' if info else ''}{metric[0]} {metric[1]:.4f}"
        task = self._progress.tasks[0]
        done = task.completed + rows - self._first
        rate = done / max(time.monotonic() - self._began, 1e-9)
        self._progress.update(
            self._task,
            advance=rows,
            description="evaluating",
            info=info,
            rate=f"{rate:,.0f} images/s",
        )

    def end(self) -> None:
        """Leave the bar as it stands."""
        if self._progress is not None:
            self._progress.stop()
            self._progress = None

    def close(self) -> None:
        """Leave the terminal as it was."""
        self.end()
        self._stop_status()

    def _stop_status(self) -> None:
        if self._status is not None:
            self._status.stop()
            self._status = None
