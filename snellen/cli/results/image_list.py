"""The table of ``snellen images``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.markup import escape
from rich.table import Table

from snellen.cli.results.tables import number
from snellen.pipelines.runs.reading.operating import operating_text
from snellen.store.parquet.results import Page

if TYPE_CHECKING:
    from snellen.metrics.detection.operating_point import OperatingPoint


def images_table(
    page: Page, offset: int, operating: OperatingPoint | None, names: Sequence[str]
) -> Table:
    """Build the table of one page of images.

    Args:
        page: the images.
        offset: number of images before the page.
        operating: the point at which objects are matched; None for a task without matches.
        names: class names of the run.
    """
    shown = f"{offset + 1:,}-{offset + len(page.rows):,} of" if page.rows else "0 of"
    counts = f"{page.correct:,} correct, {page.incorrect:,} incorrect"
    table = Table(caption=f"{shown} {page.total:,} images: {counts}{_at(page, operating, names)}")
    columns = ("true", "predicted", "confidence", "loss")
    if operating is not None:
        columns = ("tp", "fp", "fn", "overlap")
    for name in ("index", "image", *columns, "result"):
        right = name not in {"image", "true", "predicted", "result"}
        table.add_column(name, justify="right" if right else "left", overflow="fold")
    for row in page.rows:
        if row["status"] == "failed":
            verdict = f"{row['error_code']}: {row['error_message']}"
        else:
            verdict = {True: "correct", False: "wrong", None: ""}[row["is_correct"]]
        if operating is not None:
            overlap = row["oks"] if row["oks"] is not None else row["iou"]
            cells = [number(row[key]) for key in ("tp", "fp", "fn")] + [number(overlap)]
        else:
            cells = [escape(row[key] or "-") for key in ("true_label", "predicted_label")]
            cells += [number(row["confidence"]), number(row["loss"])]
        table.add_row(str(row["image_index"]), escape(row["image_id"]), *cells, escape(verdict))
    return table


def _at(page: Page, operating: OperatingPoint | None, names: Sequence[str]) -> str:
    if operating is None:
        return ""
    overlap = "OKS" if any(row["true_keypoints"] is not None for row in page.rows) else "IoU"
    confidence = operating_text(operating, names)
    return f", at confidence {confidence}, {overlap} {operating.overlap:g}"
