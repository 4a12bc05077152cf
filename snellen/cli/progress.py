"""Draw the progress of a run: a bar in a terminal, plain lines elsewhere, always on stderr."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, redirect_stdout
from typing import TYPE_CHECKING, Any

from snellen.pipelines.progress import Reporter

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress
    from rich.status import Status

_LINE_SECONDS = 5.0


@contextmanager
def make_reporter(*, debug: bool, doing: str = "Evaluating") -> Iterator[Reporter]:
    """Create the reporter for this terminal, and silence output of C libraries.

    Args:
        debug: do not silence anything.
        doing: label of the progress bar.
    """
    from rich.console import Console

    with (
        nullcontext(sys.stderr) if debug else _own_stderr() as stream,
        open(os.devnull, "w") as nowhere,
        # Ray reports dead workers on stdout, which is reserved for results.
        redirect_stdout(stream if debug else nowhere),
    ):
        console = Console(file=stream, highlight=False)
        bar = console.is_terminal
        reporter = TerminalReporter(console, doing) if bar else PlainReporter(console)
        reporter.debug = debug
        try:
            yield reporter
        finally:
            reporter.close()


@contextmanager
def _own_stderr() -> Iterator[Any]:
    """Open a separate stream to stderr and redirect the C-level stderr to /dev/null.

    Ray's C++ core prints notices that no environment variable turns off. Python's own errors
    stay visible, because ``sys.stderr`` becomes the new stream. Both are restored on exit.
    """
    before = sys.stderr
    try:
        descriptor = os.dup(2)
    except OSError:
        yield before
        return
    with os.fdopen(descriptor, "w", buffering=1) as stream:
        with open(os.devnull, "w") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        sys.stderr = stream
        try:
            yield stream
        finally:
            stream.flush()
            os.dup2(descriptor, 2)
            sys.stderr = before


def _duration(seconds: float) -> str:
    whole = int(seconds)
    if whole >= 3600:
        return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
    return f"{whole // 60} min {whole % 60:02d} s" if whole >= 60 else f"{whole} s"


class _Rate:
    """Images per second since the first commit, which excludes the start of the workers."""

    def __init__(self, total: int, done: int) -> None:
        self.total, self.done = total, done
        self._first = done
        self._since: float | None = None

    def add(self, rows: int) -> None:
        self.done += rows
        if self._since is None:
            self._since, self._first = time.monotonic(), self.done

    @property
    def per_second(self) -> float | None:
        if self._since is None or self.done == self._first:
            return None
        return (self.done - self._first) / max(time.monotonic() - self._since, 1e-9)

    def __str__(self) -> str:
        rate = self.per_second
        return f"{rate:,.0f} images/s" if rate else ""

    @property
    def left(self) -> str:
        rate = self.per_second
        return f"{_duration((self.total - self.done) / rate)} left" if rate else ""


def _running(metric: tuple[str, float], rate: _Rate) -> str:
    """Return a metric in words: "so far" until every image is committed."""
    name, value = metric
    return f"{name} {value:.4f}" if rate.done == rate.total else f"{name} so far {value:.4f}"


class PlainReporter(Reporter):
    """Reporter for logs: one line per status, and a progress line every few seconds."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._rate = _Rate(0, 0)
        self._printed = 0.0

    def status(self, text: str) -> None:
        """Print a status; counts ("Listing images: 5 so far") only every few seconds."""
        now = time.monotonic()
        if ":" not in text or now - self._printed > _LINE_SECONDS:
            self._print(f"{text} ...")
            self._printed = now

    def note(self, text: str) -> None:
        """Print a note."""
        self._print(f"  {text}")

    def begin(self, total: int, done: int) -> None:
        """Start counting."""
        self._rate = _Rate(total, done)
        self._printed = time.monotonic()
        if done:
            self._print(f"  {done:,} of {total:,} images are already committed")

    def advance(self, rows: int, failed: int, metric: tuple[str, float] | None) -> None:
        """Count committed images, and print a line if the last one is a few seconds old."""
        rate = self._rate
        rate.add(rows)
        now = time.monotonic()
        if now - self._printed < _LINE_SECONDS and rate.done < rate.total:
            return
        self._printed = now
        parts = [f"{rate.done:,} of {rate.total:,} images", str(rate)]
        parts += [rate.left if rate.done < rate.total else "", f"{failed:,} failed"]
        if metric is not None:
            parts.append(_running(metric, rate))
        self._print(", ".join(part for part in parts if part))

    def close(self) -> None:
        """Do nothing: this reporter holds no resources."""

    def _print(self, text: str) -> None:
        self._console.print(text, soft_wrap=True, markup=False)


class TerminalReporter(Reporter):
    """Reporter for terminals: a spinner, then a progress bar with rate and time left."""

    def __init__(self, console: Console, doing: str = "Evaluating") -> None:
        self._console = console
        self._doing = doing
        self._status: Status | None = None
        self._progress: Progress | None = None
        self._task: Any = None
        self._rate = _Rate(0, 0)

    def status(self, text: str) -> None:
        """Show the current step."""
        if self._progress is not None:
            self._progress.update(self._task, description=text)
        elif self._status is not None:
            self._status.update(text)
        else:
            self._status = self._console.status(text)
            self._status.start()

    def note(self, text: str) -> None:
        """Print a line above the spinner or the bar."""
        self._console.print(f"  {text}", markup=False)

    def begin(self, total: int, done: int) -> None:
        """Replace the spinner with a progress bar."""
        from rich.progress import BarColumn, Progress, TextColumn

        self._stop_status()
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.completed:,}/{task.total:,}"),
            TextColumn("{task.fields[rate]}"),
            TextColumn("{task.fields[left]}"),
            TextColumn("{task.fields[info]}"),
            console=self._console,
        )
        self._progress.start()
        self._task = self._progress.add_task(
            "Starting workers", total=total, completed=done, info="", rate="", left=""
        )
        self._rate = _Rate(total, done)

    def advance(self, rows: int, failed: int, metric: tuple[str, float] | None) -> None:
        """Advance the bar."""
        if self._progress is None:
            return
        self._rate.add(rows)
        info = f"{failed:,} failed"
        if metric is not None:
            info += f", {_running(metric, self._rate)}"
        self._progress.update(
            self._task,
            advance=rows,
            description=self._doing,
            info=info,
            rate=str(self._rate),
            left=self._rate.left,
        )

    def end(self) -> None:
        """Stop the bar and leave it on the screen."""
        if self._progress is not None:
            self._progress.stop()
            self._progress = None

    def close(self) -> None:
        """Restore the terminal."""
        self.end()
        self._stop_status()

    def _stop_status(self) -> None:
        if self._status is not None:
            self._status.stop()
            self._status = None
