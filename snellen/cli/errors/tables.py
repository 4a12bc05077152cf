"""Tables of ``snellen errors``; each takes the document that ``--json`` prints."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from rich.markup import escape
from rich.table import Table

from snellen.cli.results.tables import number


def errors_tables(document: dict[str, Any]) -> Iterator[Table]:
    """Build the tables of the kinds of errors of a run."""
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
    least = document["min_confidence"]
    own = "".join(f", {name} {value:g}" for name, value in document["class_confidences"].items())
    counted = f"predictions with confidence >= {least:g}{escape(own)}"
    if not least and not own:
        counted = "all stored predictions"
    caption = (
        f"{counted}; dAP: gain in their AP at the operating overlap ({number(document['ap'])}) "
        "if these errors were fixed"
    )
    title = f"errors of run {document['id']} · {escape(document['name'] or '')}"
    table = Table(title=title, caption=caption)
    for name in ("bucket", "errors", "images", "dAP", "meaning"):
        table.add_column(name, justify="left" if name in ("bucket", "meaning") else "right")
    for one in document["buckets"]:
        counts = (number(one[key]) for key in ("count", "images", "delta_ap"))
        table.add_row(one["bucket"], *counts, one["meaning"])
    return table


def _confused(document: dict[str, Any]) -> Table:
    title = f"most confused classes of run {document['id']} · {escape(document['name'] or '')}"
    table = Table(title=title)
    for name in ("true", "predicted", "images", "share of class", "examples"):
        right = name in ("images", "share of class")
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
    """Build the table of one page of instances: of a bucket or of a confusion matrix cell."""
    if "bucket" in document:
        title = f"errors in bucket {document['bucket']}"
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
    """Return the class; for an object also its index in the image and its box."""
    if side is None:
        return absent
    if side["box"] is None:
        return str(side["label"])
    corners = " ".join(f"{corner:.0f}" for corner in side["box"])
    return f"{side['label']} #{side['index']} ({corners})"
