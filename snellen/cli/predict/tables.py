"""Tables of inference jobs; each takes the document that ``--json`` prints."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from snellen.cli.dataset_tables import report_table
from snellen.cli.results.tables import failures_text, number

_BOXES = 30


def _verb(task: str) -> str:
    """Return one word for the task; ``auto`` of a pending job whose model is not loaded yet."""
    from snellen.pipelines.tasks.registry import task_of

    try:
        return task_of(task).verb
    except ValueError:
        return task


def jobs_table(jobs: Sequence[dict[str, Any]]) -> Table:
    """Build the table of inference jobs, one job per line."""
    table = Table()
    for name in ("id", "name", "status", "task", "input", "images", "failed", "ms/image"):
        right = name in {"id", "images", "failed", "ms/image"}
        # Only names may wrap; all other columns fit into 80 characters.
        table.add_column(
            name, justify="right" if right else "left", overflow="fold", no_wrap=name != "name"
        )
    for job in jobs:
        table.add_row(
            str(job["id"]),
            escape(job["name"] or ""),
            job["status"],
            _verb(job["task_type"]),
            job["inference_type"],
            number(job["total_images"]),
            number(job["failed_images"]),
            _milliseconds(job["avg_inference_time_ms"]),
        )
    return table


def job_tables(
    document: dict[str, Any], *, offset: int = 0, details: bool = False
) -> Iterator[RenderableType]:
    """Build the tables of a job: a single image in detail, several images one per line."""
    rows = document["results"]
    if details:
        yield _particulars(document)
        if document.get("dataset_report"):
            yield report_table(document["dataset_report"])
    if document["total_images"] == 1 and len(rows) == 1:
        yield from _one_image(document, rows[0])
    else:
        yield _images(document, rows, offset)
    yield from _places(document, rows)


def _particulars(document: dict[str, Any]) -> Table:
    table = Table(show_header=False)
    table.add_column()
    table.add_column(overflow="fold")
    fingerprint = document["fingerprint"] or {}
    resolved = document.get("resolved") or {}
    given = document["input_data"] or {}
    images = given.get("path") or f"{len(given.get('paths', []))} paths"
    shown = {
        "checkpoint": document["checkpoint_path"],
        "sha256": fingerprint.get("checkpoint_sha256"),
        "images": f"{images} ({document['inference_type']})",
        "plan": "; ".join(resolved.get("reasons", [])),
        "status": document["status"],
        "failed images": failures_text(document, "snellen predictions {} --status failed"),
        "error": document["error_message"],
    }
    for key, value in shown.items():
        if value:
            table.add_row(key, escape(str(value)))
    return table


def _title(document: dict[str, Any]) -> str:
    return f"inference job {document['id']} · {document['name'] or ''}"


def _one_image(document: dict[str, Any], row: dict[str, Any]) -> Iterator[RenderableType]:
    """Show one image: its top five classes or its boxes, and the times of each stage."""
    if row["status"] == "failed":
        reason = f"{row['image_name']}: {row['error_code']}: {row['error_message']}"
        yield Text(reason, style="red")
        return
    size = f"{row['width']} x {row['height']}" if row["width"] else ""
    times = ", ".join(
        f"{stage} {_milliseconds(row[f'{stage}_time_ms'])} ms"
        for stage in ("preprocessing", "inference", "postprocessing")
    )
    # Not as title and caption of the table: those wrap at the width of the table.
    yield Text(f"{_title(document)} · {row['image_name'] or row['image_id']} {size}")
    yield _found(document, row)
    yield Text(times, style="dim")


def _found(document: dict[str, Any], row: dict[str, Any]) -> Table:
    table = Table()
    if row["predicted_boxes"] is None:
        table.add_column("class", overflow="fold")
        table.add_column("probability", justify="right")
        for one in row["top5_predictions"] or ():
            table.add_row(escape(one["label"]), number(one["confidence"]))
        return table
    points = row["predicted_keypoints"]
    for column in ("class", "confidence", "x1", "y1", "x2", "y2"):
        table.add_column(column, justify="left" if column == "class" else "right")
    if points:
        table.add_column("points", justify="right")
    boxes = row["predicted_boxes"]
    for place, box in enumerate(boxes[:_BOXES]):
        corners = (f"{box[key]:.1f}" for key in ("x1", "y1", "x2", "y2"))
        cells = [escape(_class(document, box)), number(box["confidence"]), *corners]
        table.add_row(*cells, *([_seen(points[place])] if points else []))
    if len(boxes) > _BOXES:
        table.add_row(f"... {len(boxes) - _BOXES} more")
    if not boxes:
        table.add_row("no detections")
    return table


def _seen(points: Sequence[Mapping[str, Any]]) -> str:
    return f"{sum(1 for point in points if point['v'] >= 0.5)} of {len(points)}"


def _class(document: dict[str, Any], box: Mapping[str, Any]) -> str:
    names, class_id = document.get("class_names") or [], int(box["class_id"])
    return str(names[class_id]) if 0 <= class_id < len(names) else f"#{class_id}"


def _images(document: dict[str, Any], rows: Sequence[dict[str, Any]], offset: int) -> Table:
    counts = (number(document[f"{key}_images"]) for key in ("total", "scored", "failed"))
    summary = "{} images, {} predicted, {} failed".format(*counts)
    shown = f"{offset + 1:,}-{offset + len(rows):,} of {document['total']:,}" if rows else "0"
    average = _milliseconds(document["avg_inference_time_ms"])
    table = Table(
        title=f"{escape(_title(document))} · {document['status']}",
        caption=f"{summary}\n{average} ms per image\nshown: {shown}",
    )
    table.add_column("index", justify="right")
    table.add_column("image", overflow="fold")
    table.add_column("predicted", overflow="fold")
    table.add_column("confidence", justify="right")
    for row in rows:
        predicted, confidence = _summary(document, row)
        cells = (escape(row["image_id"]), escape(predicted), confidence)
        table.add_row(str(row["image_index"]), *cells)
    return table


def _summary(document: dict[str, Any], row: dict[str, Any]) -> tuple[str, str]:
    """Summarize the predictions of an image in a few words, with the highest confidence."""
    if row["status"] == "failed":
        return f"{row['error_code']}: {row['error_message']}", ""
    boxes = row["predicted_boxes"]
    if boxes is None:
        return row["predicted_label"] or "-", number(row["confidence"])
    counted = Counter(_class(document, box) for box in boxes)
    words = ", ".join(f"{count} {name}" for name, count in counted.most_common())
    return words or "no detections", number(boxes[0]["confidence"]) if boxes else ""


def _places(document: dict[str, Any], rows: Sequence[dict[str, Any]]) -> Iterator[Text]:
    """List the places of result files, annotated images and masks."""
    if not document["results_dir"]:
        return
    folder = Path(document["results_dir"])
    lines = {"rows": str(folder / "units")}
    for key, column in (("pictures", "visualization_path"), ("masks", "predicted_mask_path")):
        paths = [row[column] for row in rows if row.get(column)]
        if paths:
            whole = document["total_images"] == 1
            lines[key] = str(folder / (paths[0] if whole else paths[0].split("/")[0]))
    for key, place in lines.items():
        yield Text(f"{key + ':':<10}{place}", overflow="fold", no_wrap=True)


def _milliseconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"
