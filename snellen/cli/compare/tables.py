"""Tables of a comparison; each takes the document that ``--json`` prints."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from rich.console import RenderableType
from rich.markup import escape
from rich.table import Table

from snellen.analysis.comparison.rows import contradiction, units_of
from snellen.cli.results.tables import number
from snellen.cli.slices.tables import found_slices_table

_CHANGED = ("better", "worse")
_SLICES = 5
_CELLS = 10
_VERDICTS = {
    "better": "B is better than A",
    "worse": "B is worse than A",
    "equivalent": "A and B are equivalent",
    "not_worse": "B is not worse than A",
    "not_settled": "not settled",
}
_REASONS = {
    "only_in_a": "in A only",
    "only_in_b": "in B only",
    "other_content": "with another content",
    "other_ground_truth": "with other ground truth",
    "other_classes": "of other classes",
    "scored_in_neither": "failed in both",
    "scored_in_one": "failed in one run",
}


def comparison_tables(found: dict[str, Any], *, classes: bool) -> Iterator[RenderableType]:
    """Build the tables of a comparison: verdict, metrics, classes, images and objects."""
    yield _metrics(found)
    yield from _headline(found)
    rows = (
        found["classes"]
        if classes
        else [row for row in found["classes"] if row["verdict"] in _CHANGED]
    )
    if rows:
        title = "classes" if classes else "classes that changed"
        yield _rows(rows, title, first="class")
    if found["slices"]:
        yield _rows(found["slices"], f"slices ({found['primary']['key']})", first="slice")
    if found["found_slices"]:
        title = "slices that differ (error of B minus that of A)"
        yield found_slices_table(found["found_slices"][:_SLICES], title, ())
    yield from _counts(found)
    yield from _deciding(found)
    yield from _disagreements(found["disagreements"])
    yield from _speed(found["speed"])
    yield from _training(found["training_results"])


def _headline(found: dict[str, Any]) -> Iterator[str]:
    primary = found["primary"]
    text = f"{_VERDICTS[found['verdict']]} ({primary['key']}"
    if primary["difference"] is not None:
        low, high = primary["interval"] or (None, None)
        within = "no interval" if low is None else f"{low:+.4f} to {high:+.4f}"
        text += f": difference {primary['difference']:+.4f}, {within}"
    yield escape(f"{text}).")
    if (doubt := contradiction(primary)) is not None:
        yield escape(doubt)
    if found["verdict"] == "not_settled" and primary["detectable"] is not None:
        more = primary["images_needed"]
        needed = f"; about {more:,} more {units_of(found)} would settle it" if more else ""
        yield f"These images can show differences from {primary['detectable']:.4f} on{needed}."
    left_out = found["left_out"]
    if left_out:
        listed = ", ".join(f"{count:,} {_REASONS[reason]}" for reason, count in left_out.items())
        yield f"Left out: {listed}."


def _metrics(found: dict[str, Any]) -> Table:
    sides = " and ".join(
        f"{letter}: run {found[letter.lower()]['id']} {found[letter.lower()]['name'] or ''}".strip()
        for letter in ("A", "B")
    )
    table = _rows(found["metrics"], sides, first="key")
    table.caption = f"{found['common_images']:,} common images; {found['method']}"
    return table


def _rows(rows: Sequence[dict[str, Any]], title: str, *, first: str) -> Table:
    table = Table(title=escape(title))
    table.add_column("metric" if first == "key" else first, overflow="fold")
    held = any(row["p_holm"] is not None for row in rows)
    for name in ("A", "B", "B - A", "95 % interval", "q", *(("p (Holm)",) if held else ())):
        table.add_column(name, justify="right")
    table.add_column("verdict")
    for row in rows:
        bounds = row["interval"]
        table.add_row(
            escape(_name(row, first)),
            number(row["a"]),
            number(row["b"]),
            "-" if row["difference"] is None else f"{row['difference']:+.4f}",
            "-" if bounds is None else f"{bounds[0]:+.4f} to {bounds[1]:+.4f}",
            number(row["q"]),
            *((number(row["p_holm"]),) if held else ()),
            row["verdict"].replace("_", " ") if row["difference"] is not None else "-",
        )
    return table


def _name(row: dict[str, Any], first: str) -> str:
    if first == "slice":
        return f"{row['slice']['by']}: {row['slice']['value']}"
    return str(row[first])


def _counts(found: dict[str, Any]) -> Iterator[str]:
    images = {kind: one["count"] for kind, one in found["images"].items()}
    yield (
        f"Images: {images['fixed']:,} fixed, {images['broken']:,} broken, "
        f"{images['both_correct']:,} correct in both, {images['both_incorrect']:,} in neither."
    )
    objects = {kind: one["count"] for kind, one in found["objects"].items()}
    if any(objects.values()):
        yield (
            f"Objects: {objects['fixed']:,} fixed, {objects['broken']:,} broken; false positives: "
            f"{objects['new_fp']:,} new, {objects['vanished_fp']:,} vanished."
        )
    files = dict.fromkeys(
        (
            found["images"]["fixed"]["indices_file"],
            found["objects"]["fixed"]["indices_file"],
            found["deciding"]["indices_file"],
            found["disagreements"]["indices_file"],
        )
    )
    if None not in files:
        yield escape(f"Written: {', '.join(map(str, files))}")


def _deciding(found: dict[str, Any]) -> Iterator[str]:
    deciding = found["deciding"]
    if not deciding["count"]:
        yield (
            "No images decide: their contributions to the difference in "
            f"{deciding['metric']} add up to 0."
        )
        return
    listed = deciding["command"] or "-o DIR writes their list"
    yield escape(
        f"{deciding['count']:,} images make {deciding['share']:.0%} of the difference in "
        f"{deciding['metric']}: {listed}"
    )


def _disagreements(found: dict[str, Any]) -> Iterator[RenderableType]:
    objects = found["objects"]
    if objects is not None:
        table = Table(title="ground truth objects")
        for name in ("", "B found", "B missed"):
            table.add_column(name, justify="right" if name else "left")
        table.add_row("A found", f"{objects['both']:,}", f"{objects['only_a']:,}")
        table.add_row("A missed", f"{objects['only_b']:,}", f"{objects['neither']:,}")
        yield table
    if found["cells"]:
        table = Table(title="most frequent disagreements")
        for name in ("class by A", "class by B"):
            table.add_column(name, overflow="fold")
        table.add_column("objects" if objects is not None else "images", justify="right")
        for cell in found["cells"][:_CELLS]:
            table.add_row(escape(cell["a"]), escape(cell["b"]), f"{cell['count']:,}")
        yield table


def _speed(found: dict[str, Any]) -> Iterator[RenderableType]:
    table = Table(title="inference speed")
    table.add_column("run")
    for name in ("device", "precision", "batch", "median ms", "95th percentile ms", "images/s"):
        table.add_column(name, justify="right")
    for side in ("a", "b"):
        one = found[side]
        table.add_row(
            side.upper(),
            *(str(one[key] or "-") for key in ("device", "precision", "batch_size")),
            *(number(one[key]) for key in ("median_ms", "p95_ms", "images_per_second")),
        )
    if not found["comparable"]:
        table.caption = escape(f"not comparable: {found['reason']}")
    yield table


def _training(found: dict[str, Any]) -> Iterator[RenderableType]:
    if found["metrics"]:
        table = Table(title="validation results of the training jobs")
        table.add_column("metric")
        for name in ("A", "A in training", "B", "B in training"):
            table.add_column(name, justify="right")
        for row in found["metrics"]:
            cells = [row[side][key] for side in "ab" for key in ("run", "training")]
            table.add_row(escape(row["key"]), *(number(cell) for cell in cells))
        yield table
    for side, reason in found["reasons"].items():
        if reason is not None:
            yield escape(f"No validation results beside {side.upper()}: {reason}.")
