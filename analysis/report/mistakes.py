"""Pictures of a report: small drawings of images and objects, inside of the HTML file."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import polars as pl
from PIL import Image

from snellen.adapters.errors import ImageError
from snellen.analysis.drawing import RunImages
from snellen.analysis.error_analysis import ErrorAnalysis, InstanceQuery
from snellen.metrics.errors.counts import MistakeSummary
from snellen.metrics.errors.instance_views import Instance
from snellen.pipelines.visualization.canvas import Pixels
from snellen.pipelines.visualization.encode import encode_jpeg
from snellen.store.parquet.results import Results, json_safe

SIDE = 400
"""Longest side of a picture, pixels."""
_QUALITY = 78
_AROUND = 0.75
"""Margin around an object, in sides of it."""

Tile = dict[str, Any]


def tiles(images: RunImages, rows: Iterable[Mapping[str, Any]]) -> list[Tile]:
    """Draw result rows; an image that cannot be read has its error in place of a picture."""
    return [{**_facts(row), **_picture(images, row)} for row in rows]


def most_confident(
    analysis: ErrorAnalysis, summary: object, images: RunImages, results: Results, limit: int
) -> list[Tile]:
    """Draw the most confident mistakes: wrong images, or objects that match no ground truth."""
    if isinstance(summary, MistakeSummary):
        found: Sequence[Instance] = summary.most_confident[:limit]
    else:
        query = InstanceQuery(true="background", sort="confidence", limit=limit)
        found = analysis.instances(query).instances
    rows = rows_of(results, [one.image_index for one in found])
    return [_instance(images, rows[one.image_index], one) for one in found]


def rows_of(results: Results, indices: Sequence[int]) -> dict[int, dict[str, Any]]:
    """Read the result rows of some images, by index."""
    chosen = results.lazy().filter(pl.col("image_index").is_in(sorted(set(indices))))
    return {row["image_index"]: json_safe(row) for row in chosen.collect().to_dicts()}


def _instance(images: RunImages, row: Mapping[str, Any], one: Instance) -> Tile:
    side = one.predicted
    box = None if side is None else side.box
    facts = _facts(row)
    if side is not None:
        facts |= {"predicted": side.label, "confidence": side.confidence}
    if one.true is not None:
        facts["true"] = one.true.label
    return {**facts, **_picture(images, row, box)}


def _facts(row: Mapping[str, Any]) -> Tile:
    facts: Tile = {"id": row["image_id"], "index": row["image_index"]}
    if row.get("tp") is not None:
        facts["counts"] = {key: row[key] for key in ("tp", "fp", "fn")}
    elif row.get("predicted_label") is not None:
        facts |= {"predicted": row["predicted_label"], "confidence": row["confidence"]}
        if row.get("true_label") is not None:
            facts["true"] = row["true_label"]
    return facts


def _picture(images: RunImages, row: Mapping[str, Any], box: Sequence[float] | None = None) -> Tile:
    try:
        if box is None:
            pixels = images.draw(row, max_side=SIDE)
        else:
            pixels = _around(images.draw(row), box, (row["width"], row["height"]))
    except ImageError as error:
        return {"error": str(error.code), "message": error.message}
    height, width = pixels.shape[:2]
    data = base64.b64encode(encode_jpeg(pixels, _QUALITY)).decode("ascii")
    return {"src": f"data:image/jpeg;base64,{data}", "width": width, "height": height}


def _around(drawn: Pixels, box: Sequence[float], size: tuple[int, int]) -> Pixels:
    """Cut the surroundings of a box out of the drawing of its image."""
    import numpy as np

    height, width = drawn.shape[:2]
    # Small images have a margin and are enlarged by a whole number; large ones are reduced.
    scale = width / size[0] if width * size[1] <= height * size[0] else height / size[1]
    x1, y1, x2, y2 = (value * scale for value in box)
    reach = max(x2 - x1, y2 - y1) * (0.5 + _AROUND)
    x, y = (x1 + x2) / 2, (y1 + y2) / 2
    left, top = int(max(0, x - reach)), int(max(0, y - reach))
    right, bottom = int(min(width, x + reach + 1)), int(min(height, y + reach + 1))
    part = Image.fromarray(drawn[top:bottom, left:right])
    part.thumbnail((SIDE, SIDE))
    return np.asarray(part)
