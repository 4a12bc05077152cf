"""What a run tells the person who waits for it. The command line draws it; the API is silent."""

from __future__ import annotations


class Reporter:
    """Receives the progress of a run; this one keeps quiet."""

    def status(self, text: str) -> None:
        """Say what is being done or waited for now."""

    def note(self, text: str) -> None:
        """Say something that should stay on the screen."""

    def begin(self, total: int, done: int) -> None:
        """Start to count images; ``done`` of ``total`` were finished by an earlier attempt."""

    def advance(self, rows: int, failed: int, metric: tuple[str, float] | None) -> None:
        """``rows`` more images are committed; ``failed`` and ``metric`` are totals so far."""

    def end(self) -> None:
        """Counting is over."""
