"""Tables of weak slices; each takes the document that ``--json`` prints."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from rich.console import RenderableType
from rich.markup import escape
from rich.table import Table

from snellen.cli.results.tables import number


def weak_slices_tables(found: dict[str, Any]) -> Iterator[RenderableType]:
    """Build the table of the weak slices of a run, and the command that lists the worst one."""
    if not found["slices"]:
        tried = ", ".join(found["measures"]) or "none: all images have equal values"
        yield escape(f"No weak slices among {found['images']:,} images. Tried: {tried}.")
        return
    settled = sum(row["settled"] for row in found["slices"])
    title = f"weak slices ({settled} of {len(found['slices'])} have q < 0.05)"
    table = found_slices_table(found["slices"], title, ("error", "rest"))
    units = f"grouped by {found['group']}" if found["group"] else "independent images"
    table.caption = escape(
        f"{found['images']:,} images ({units}), mean error {found['error']:.4f}; chosen on one "
        "half of the images, tested on the other"
    )
    yield table
    yield escape(f"List the first: {found['slices'][0]['command']}")


def found_slices_table(
    rows: Sequence[dict[str, Any]], title: str, columns: tuple[str, ...]
) -> Table:
    """Build a table of slices that were found.

    Args:
        rows: entries of the document.
        title: of the table.
        columns: keys of the values besides the difference.
    """
    table = Table(title=escape(title))
    table.add_column("images where", overflow="fold")
    for name in ("images", *columns, "difference", "95 % interval", "q"):
        table.add_column(name, justify="right")
    for row in rows:
        low, high = row["interval"]
        table.add_row(
            escape(" and ".join(row["where"])),
            f"{row['images']:,}",
            *(number(row[key]) for key in columns),
            f"{row['difference']:+.4f}",
            f"{low:+.4f} to {high:+.4f}",
            number(row["q"]),
        )
    return table
