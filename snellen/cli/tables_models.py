"""The tables of ``export-model`` and ``parity``."""

from __future__ import annotations

from typing import Any

from rich.markup import escape
from rich.table import Table


def export_table(document: dict[str, Any]) -> Table:
    """An exported file, and how it was checked."""
    check = document["check"]
    table = Table(show_header=False, title="exported")
    table.add_column()
    table.add_column(overflow="fold")
    apart = f"confidences within {check['confidence']:.1e}"
    if check["box"] is not None:
        apart += f", boxes within {check['box']:.1e} px on {check['detections']} detections"
    table.add_row("file", escape(document["path"]))
    table.add_row("format", f"{document['format']}, {document['bytes'] / 2**20:.1f} MiB")
    table.add_row("sha256", document["sha256"])
    table.add_row("made of", escape(document["source"]["checkpoint"]))
    table.add_row("checked", f"{check['images']} pictures against the checkpoint: {apart}")
    table.add_row("job", f"{document['job']['id']} · {escape(document['job']['name'])}")
    return table
