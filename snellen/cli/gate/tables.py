"""The table of a gate: one rule per line."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import RenderableType
from rich.markup import escape
from rich.table import Table

from snellen.analysis.gate.outcome import GateOutcome

_COLOURS = {"pass": "green", "fail": "red", "inconclusive": "yellow"}


def gate_tables(outcome: GateOutcome) -> Iterator[RenderableType]:
    """Build the table of the rules, and the verdict."""
    run, baseline = outcome.run, outcome.baseline
    against = f", baseline {baseline['id']} {baseline['name'] or ''}" if baseline else ""
    table = Table(title=escape(f"gate of run {run['id']} {run['name'] or ''}{against}"))
    for name in ("rule", "tier", "verdict", "observed"):
        table.add_column(name, overflow="fold")
    for rule in outcome.rules:
        colour = _COLOURS[str(rule.verdict)]
        table.add_row(
            escape(rule.name),
            rule.rule.tier,
            f"[{colour}]{rule.verdict}[/{colour}]",
            escape(rule.reason),
        )
    yield table
    yield f"Gate: {outcome.verdict}"
