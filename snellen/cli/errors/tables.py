"""The tables of ``snellen errors``; each takes the document that ``--json`` would print."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from rich.markup import escape
from rich.table import Table

from snellen.cli.results.tables import number


def errors_tables(document: dict[str, Any]) -> Iterator[Table]:
    """The kinds of errors of a run."""
    if "buckets" in document:
        yield _buckets(document)
        return
    yield _confused(document)
    yield _instances(
        document["most_confident"],
        title="most confident mistakes",
        caption=f"{number(document['mistakes'])} mistakes",
    )


def _buckets(document: dict[str, Any]) -> Table:
    caption = f"only predictions from {document['min_confidence']:g} on"
    if not document["min_confidence"]:
        caption = (
            "all stored predictions; dAP: so much AP at the operating overlap "
            f"({number(document['ap'])}) gains when these errors are mended"
        )
    title = f"errors of run {document['id']} · {escape(document['name'] or '')}"
    table = Table(title=title, caption=caption)
    for name in ("bucket", "errors", "images", "dAP", "what it is"):
        table.add_column(name, justify="left" if name in ("bucket", "what it is") else "right")
    for one in document["buckets"]:
        counts = (number(one[key]) for key in ("count", "images", "delta_ap"))
        table.add_row(one["bucket"], *counts, one["meaning"])
    return table


def _confused(document: dict[str, Any]) -> Table:
    table = Table(title=f"most confused in run {document['id']} · {escape(document['name'] or '')}")
    for name in ("true", "predicted", "images", "of the class", "such as"):
        right = name in ("images", "of the class")
        table.add_column(name, justify="right" if right else "left", overflow="fold")
    for pair in document["most_confused"]:
        examples = ", ".join(example["image_id"] for example in pair["examples"])
        table.add_row(
            escape(pair["true"]),
            escape(pair["predicted"]),
            number(pair["count"]),
            f"{pair['share']:.1%}",
            escape(examples),
        )
    return table


def instances_table(document: dict[str, Any]) -> Table:
    """A page of the instances of a bucket or of a cell."""
    if "bucket" in document:
        title = f"errors in the bucket {document['bucket']}"
    else:
        true, predicted = (document[side] or "any class" for side in ("true", "predicted"))
        title = f"true {true}, predicted {predicted}"
    page, first = document["instances"], document["offset"]
    shown = f"{first + 1:,}-{first + len(page):,} of" if page else "0 of"
    caption = f"{shown} {document['total']:,}, in {document['images']:,} images"
    absent = "-" if "bucket" in document else "background"
    return _instances(page, title=escape(title), caption=caption, absent=absent)


def _instances(
    instances: Sequence[dict[str, Any]], *, title: str, caption: str, absent: str = "-"
) -> Table:
    table = Table(title=title, caption=caption)
    objects = any(side["box"] for one in instances for side in _sides(one) if side)
    names = ["index", "image", "true", "predicted", "confidence"]
    for name in [*names, "overlap"] if objects else names:
        right = name in ("index", "confidence", "overlap")
        table.add_column(name, justify="right" if right else "left", overflow="fold")
    for one in instances:
        cells = [str(one["image_index"]), escape(one["image_id"])]
        cells += [escape(_spoken(side, absent)) for side in _sides(one)]
        cells.append(number((one["predicted"] or {}).get("confidence")))
        table.add_row(*cells, *([number(one["overlap"])] if objects else []))
    return table


def _sides(instance: dict[str, Any]) -> tuple[dict[str, Any] | None, dict[str, Any] | None]:
    return instance["true"], instance["predicted"]


def _spoken(side: dict[str, Any] | None, absent: str) -> str:
    """A class, and of an object which one of its image and where."""
    if side is None:
        return absent
    if side["box"] is None:
        return str(side["label"])
    corners = " ".join(f"{corner:.0f}" for corner in side["box"])
    return f"{side['label']} #{side['index']} ({corners})"
