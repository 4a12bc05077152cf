"""Tables of registered datasets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.markup import escape
from rich.table import Table


def datasets_table(found: Sequence[dict[str, Any]]) -> Table:
    """Build the table of datasets, one dataset per line."""
    table = Table()
    for name in ("name", "format", "path"):
        table.add_column(name, overflow="fold")
    for one in found:
        config = one["config"]
        table.add_row(escape(one["name"]), config.get("format", "auto"), escape(config["path"]))
    return table


def dataset_table(one: dict[str, Any]) -> Table:
    """Build the table of a dataset: the keys that are set."""
    table = Table(show_header=False, title=escape(f"dataset {one['name']}"))
    table.add_column()
    table.add_column(overflow="fold")
    for key, value in one["config"].items():
        table.add_row(key, escape(str(value)))
    return table
