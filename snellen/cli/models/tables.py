"""Tables of ``export-model`` and ``parity``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rich.console import RenderableType
from rich.markup import escape
from rich.table import Table

from snellen.cli.results.tables import number


def export_table(document: dict[str, Any]) -> Table:
    """Build the table of an exported file and of its comparison with the checkpoint."""
    check = document["check"]
    table = Table(show_header=False, title="exported model")
    table.add_column()
    table.add_column(overflow="fold")
    apart = f"confidences within {check['confidence']:.1e}"
    if check["box"] is not None:
        apart += f", boxes within {check['box']:.1e} px on {check['detections']} detections"
    table.add_row("file", escape(document["path"]))
    table.add_row("format", f"{document['format']}, {document['bytes'] / 2**20:.1f} MiB")
    table.add_row("sha256", document["sha256"])
    table.add_row("source", escape(document["source"]["checkpoint"]))
    table.add_row("checked", f"{check['images']} images against the checkpoint: {apart}")
    table.add_row("job", f"{document['job']['id']} · {escape(document['job']['name'])}")
    return table


def parity_tables(document: dict[str, Any]) -> Iterator[RenderableType]:
    """Build the tables of a comparison: verdict, largest differences, metrics, worst images."""
    yield _verdict(document)
    if document["metrics"]:
        yield _metrics(document["metrics"])
    worst = [one for one in document["worst"] if one["reasons"]]
    if worst:
        yield _worst(worst)


def _verdict(document: dict[str, Any]) -> Table:
    table = Table(show_header=False, title=f"parity: {document['verdict']}")
    table.add_column()
    table.add_column(overflow="fold")
    for side in ("a", "b"):
        model = document[side]
        shown = f"{model['adapter']} {model['architecture']}, {model['checkpoint']}"
        table.add_row(side.upper(), escape(shown))
    compared = document["images"] - document["failed"]
    failed = f", {number(document['failed'])} failed for both" if document["failed"] else ""
    table.add_row(
        "images",
        f"{number(compared)} compared{failed}, {number(document['different'])} differ",
    )
    for key, value in document["largest"].items():
        what = "smallest mask IoU" if key == "mask_iou" else f"largest difference, {key}"
        table.add_row(what, f"{value:.6f}" if key == "mask_iou" else f"{value:.1e}")
    for key in ("detections", "unmatched"):
        if key in document:
            table.add_row(key, " and ".join(number(count) for count in document[key]))
    for reason in document["reasons"]:
        table.add_row("different", escape(reason))
    return table


def _metrics(metrics: dict[str, dict[str, Any]]) -> Table:
    table = Table(title="metrics")
    for name in ("metric", "A", "B", "B - A"):
        table.add_column(name, justify="left" if name == "metric" else "right")
    for key, values in metrics.items():
        apart = values["difference"]
        shown = "-" if apart is None else f"{apart:+.1e}" if apart else "0"
        table.add_row(key, number(values["a"]), number(values["b"]), shown)
    return table


def _worst(worst: list[dict[str, Any]]) -> Table:
    table = Table(title="images with the largest differences")
    objects = any("counts" in one for one in worst)
    names = ["image", "differs in", "confidence"]
    names += ["box px", "detections", "unmatched"] if objects else ["A", "B"]
    for name in names:
        table.add_column(name, overflow="fold")
    for one in worst:
        cells = [escape(one["image_id"]), ", ".join(one["reasons"]), f"{one['confidence']:.1e}"]
        if objects:
            cells.append("-" if one.get("box") is None else f"{one['box']:.1e}")
            for key in ("counts", "unmatched"):
                cells.append(" and ".join(map(str, one.get(key) or ())) or "-")
        else:
            cells += [escape(label or "-") for label in one.get("top1") or (None, None)]
        table.add_row(*cells)
    return table
