"""The progress of a run. The command line draws it; the Python API is silent."""

from __future__ import annotations


class Reporter:
    """Receiver of the progress of a run; this one is silent.

    Attributes:
        debug: what libraries print is shown, too.
    """

    debug: bool = False

    def status(self, text: str) -> None:
        """Show the current step, such as "Loading checkpoint"."""

    def note(self, text: str) -> None:
        """Show a message that stays on the screen."""

    def begin(self, total: int, done: int) -> None:
        """Start counting images; ``done`` of ``total`` were finished by an earlier attempt."""

    def advance(self, rows: int, failed: int, metric: tuple[str, float] | None) -> None:
        """Count ``rows`` more committed images; ``failed`` and ``metric`` are running totals."""

    def end(self) -> None:
        """Stop counting."""
