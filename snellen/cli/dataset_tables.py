"""The dataset report as a table, shown by ``plan`` and ``show``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rich.markup import escape
from rich.table import Table

_CLASSES_SHOWN = 20


def report_table(report: Mapping[str, Any]) -> Table:
    """Build the table of a dataset report: images, labels, classes, sizes, warnings."""
    table = Table(show_header=False, title="dataset")
    table.add_column()
    table.add_column(overflow="fold")
    for key, value in _lines(report):
        table.add_row(key, escape(value))
    return table


def _lines(report: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    yield "images", f"{report['found']:,} found, {report['used']:,} used"
    for reason, passed in report["passed_over"].items():
        shown = f": {', '.join(passed['examples'])}" if passed["examples"] else ""
        more = " ..." if passed["count"] > len(passed["examples"]) > 0 else ""
        yield "passed over", f"{passed['count']:,} {_spoken(reason)}{shown}{more}"
    annotations = report["annotations"]
    if annotations["used"]:
        yield "annotations", f"{annotations['used']:,} used"
    for done in ("ignored", "repaired"):
        for reason, count in annotations[done].items():
            yield "annotations", f"{count:,} {done}: {_spoken(reason)}"
    for code, wrong in report["label_errors"].items():
        yield "label errors", f"{wrong['count']:,} {code}: {', '.join(wrong['examples'])}"
    classes = report["classes"]
    if classes:
        listed = [f"{name} {count:,}" for name, count in list(classes.items())[:_CLASSES_SHOWN]]
        more = f", {len(classes) - _CLASSES_SHOWN:,} more" if len(classes) > _CLASSES_SHOWN else ""
        yield "classes", f"{len(classes):,}: {', '.join(listed)}{more}"
    if classes and report.get("class_order"):
        yield "class order", report["class_order"]
    if report.get("columns"):
        yield "columns", ", ".join(f"{kind}: {name}" for kind, name in report["columns"].items())
    sizes = report["sizes"]
    if "width" in sizes:
        low, high = ([sizes[side][end] for side in ("width", "height")] for end in (0, 1))
        yield "sizes", f"{low[0]} x {low[1]} to {high[0]} x {high[1]} pixels"
    copies = report.get("copies") or {"copies": 0}
    if copies["copies"]:
        some = "; ".join(" = ".join(names) for names in copies["examples"])
        wrong = f", {copies['conflicting']:,} groups with different labels"
        more = wrong if copies["conflicting"] else ""
        yield "exact copies", f"{copies['copies']:,} images{more}: {some}"
    for warning in report["warnings"]:
        yield "warning", warning
    imported = report.get("predictions")
    if imported:
        yield "predictions", f"{imported['used']:,} used, of {imported['images']:,} images"
        for kind, lines in (("predictions", imported["notes"]), ("warning", imported["warnings"])):
            for line in lines:
                yield kind, line


def _spoken(reason: str) -> str:
    return reason.replace("_", " ")
