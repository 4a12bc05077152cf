"""Tables of ``snellen threshold``; each takes the document that ``--json`` prints."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from rich.markup import escape
from rich.table import Table

from snellen.cli.results.tables import number

_NOT_VALUES = {"class", "confidence", "intervals", "verdict"}


def scan_tables(document: dict[str, Any]) -> Iterator[Table]:
    """Build the list of thresholds, and of the chosen ones."""
    title = f"thresholds of run {document['id']} · {escape(document['name'] or '')}"
    yield _list(title, document["thresholds"])
    for name, rows in document["classes"].items():
        yield _list(escape(name), rows)
    chosen = document["chosen"]
    if chosen is not None:
        yield _chosen(chosen, document["thresholds"])


def _list(title: str, rows: Sequence[dict[str, Any]]) -> Table:
    table = Table(title=title)
    columns = list(rows[0]) if rows else []
    for name in columns:
        table.add_column(name, justify="right")
    for row in rows:
        table.add_row(f"{row['confidence']:.2f}", *(number(row[name]) for name in columns[1:]))
    return table


def _chosen(chosen: dict[str, Any], listed: Sequence[dict[str, Any]]) -> Table:
    table = Table(title=f"chosen: {chosen['rule']}")
    if chosen["without_objects"]:
        names = ", ".join(chosen["without_objects"])
        table.caption = f"without objects, as all classes: {escape(names)}"
    columns = [name for name in (listed[0] if listed else {}) if name != "confidence"]
    table.add_column("class", overflow="fold")
    for name in ("confidence", *columns):
        table.add_column(name, justify="right")
    for name, row in (("all", chosen["all"]), *chosen["classes"].items()):
        if row is None:
            table.add_row(escape(name), "not reached", *("-" for _ in columns))
        else:
            values = (number(row[column]) for column in columns)
            table.add_row(escape(name), f"{row['confidence']:.4g}", *values)
    return table


def check_table(document: dict[str, Any]) -> Table:
    """Build the table of the metrics at frozen thresholds, with intervals."""
    target, rows = document["target"], document["rows"]
    wanted = f": {target['metric']} >= {target['value']:g}" if target else ""
    title = f"frozen thresholds on run {document['id']} · {escape(document['name'] or '')}{wanted}"
    chosen_on = document["chosen_on"] or {}
    caption = f"chosen on run {chosen_on['run']}: {chosen_on['rule']}" if chosen_on else None
    table = Table(title=title, caption=caption)
    columns = [name for name in rows[0] if name not in _NOT_VALUES]
    table.add_column("class", overflow="fold")
    for name in columns:
        table.add_column(name, justify="right")
    if target:
        table.add_column("target")
    for row in rows:
        cells = []
        for name in columns:
            bounds = row["intervals"].get(name)
            shown = f" ({number(bounds[0])} - {number(bounds[1])})" if bounds else ""
            cells.append(number(row[name]) + shown)
        verdict = [(row["verdict"] or "-").replace("_", " ")] if target else []
        table.add_row(escape(row["class"] or "all"), *cells, *verdict)
    return table
