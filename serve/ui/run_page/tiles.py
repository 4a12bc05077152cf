"""Tiles of the grid: a small picture of an image with its matches, as few lines of SVG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from snellen.serve.api.redaction import without_paths
from snellen.serve.api.runs.row_reader import Row
from snellen.store.views import AnyRun, RunView

SIDE = 256
"""Maximum side of a thumbnail in pixels, one of those that the service keeps."""
COLUMNS = (
    *("image_index", "image_id", "width", "height", "status", "error_stage", "error_code"),
    *("error_message", "true_label", "predicted_label", "confidence", "is_correct"),
    *("tp", "fp", "fn", "true_boxes", "predicted_boxes", "matches"),
)
"""Columns of a result row that a tile shows."""
KINDS = {"TP": "tp", "FP": "fp", "FN": "fn", "IGNORED": "ign"}
"""Kind of match -> class in the style sheet."""
_CORNER = 0.09
"""Side of the corner that marks a false positive, of the longer side of the picture."""
Box = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Overlay:
    """Paths over a picture.

    Attributes:
        view: of the SVG, in pixels of the image.
        paths: class and data of one path per kind; the casing under all others is the first.
    """

    view: str
    paths: list[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Tile:
    """An image in the grid.

    Attributes:
        number: index of the image in the run.
        name: image id.
        picture: path of the thumbnail; empty for a failed image.
        width, height: of the thumbnail in pixels.
        counts: class and number of the matches; empty for a classifier.
        result: predicted class of a classifier.
        code, message: of a failed image.
    """

    number: int
    name: str
    picture: str
    width: int
    height: int
    overlay: Overlay | None
    counts: list[tuple[str, int]]
    result: Mapping[str, Any] | None
    code: str
    message: str


def make_tile(run: AnyRun, row: Row) -> Tile:
    """Describe an image; an unknown size is taken for a square."""
    width, height = row.get("width") or SIDE, row.get("height") or SIDE
    scale = min(1.0, SIDE / max(width, height))
    failed = row["status"] == "failed"
    stage = f"{row['error_stage']}: " if row.get("error_stage") else ""
    return Tile(
        number=row["image_index"],
        name=row["image_id"],
        picture="" if failed else thumbnail(run, row["image_index"]),
        width=max(1, round(width * scale)),
        height=max(1, round(height * scale)),
        overlay=None if failed else overlay(row, (width, height)),
        counts=[(key, row[key]) for key in ("tp", "fp", "fn") if row.get(key) is not None],
        result=None if failed or row.get("predicted_label") is None else row,
        code=row.get("error_code") or "",
        message=stage + without_paths(row.get("error_message") or ""),
    )


def thumbnail(run: AnyRun, number: int) -> str:
    """Return the path of a small picture, which browsers may keep."""
    return f"{image_path(run, number)}/thumbnail?size={SIDE}&revision={run.revision}"


def image_path(run: AnyRun, number: int) -> str:
    """Return the path of an image in the API."""
    kind = "test-runs" if isinstance(run, RunView) else "inference-jobs"
    return f"/inference/{kind}/{run.id}/images/{number}"


def overlay(row: Row, size: tuple[int, int]) -> Overlay | None:
    """Return the paths of the objects of an image, one per kind of match; None without objects."""
    boxes: dict[str, list[Box]] = {}
    for match in row.get("matches") or ():
        boxes.setdefault(KINDS[match["kind"]], []).append(box_of(row, match))
    if row.get("matches") is None:  # without ground truth there are no matches
        boxes["pr"] = [corners(box) for box in row.get("predicted_boxes") or ()]
    return paths(boxes, size)


def paths(boxes: Mapping[str, Sequence[Box]], size: tuple[int, int]) -> Overlay | None:
    """Return one path per kind, the casing before all.

    Args:
        boxes: left, top, right, bottom in pixels by class in the style sheet.
        size: width and height of the picture in pixels.
    """
    drawn = {kind: "".join(map(outline, found)) for kind, found in boxes.items() if found}
    if not drawn:
        return None
    lines = [("case", "".join(drawn.values())), *drawn.items()]
    if "fp" in drawn:
        lines.append(("corner", "".join(corner(box, _CORNER * max(size)) for box in boxes["fp"])))
    return Overlay(f"0 0 {size[0]} {size[1]}", lines)


def box_of(row: Row, match: Mapping[str, Any]) -> Box:
    """Return the box that shows a match: the predicted one, or that of a missed object."""
    if match["predicted_index"] is not None:
        return corners(row["predicted_boxes"][match["predicted_index"]])
    return corners(row["true_boxes"][match["true_index"]])


def corners(box: Mapping[str, float]) -> Box:
    """Return left, top, right and bottom of a stored box."""
    return box["x1"], box["y1"], box["x2"], box["y2"]


def outline(box: Box) -> str:
    """Return the path of a rectangle.

    >>> outline((1, 2, 11.26, 22))
    'M1 2h10.3v20h-10.3z'
    """
    x1, y1, x2, y2 = box
    width = short(x2 - x1)
    return f"M{short(x1)} {short(y1)}h{width}v{short(y2 - y1)}h-{width}z"


def corner(box: Box, side: float) -> str:
    """Return the path of the corner of a false positive, at most ``side`` pixels wide."""
    x1, y1, x2, y2 = box
    side = min(x2 - x1, y2 - y1, side)
    return f"M{short(x2 - side)} {short(y1)}H{short(x2)}v{short(side)}z"


def short(value: float) -> str:
    """Return a coordinate with at most one decimal.

    >>> short(10.26), short(3.0), short(-0.01)
    ('10.3', '3', '0')
    """
    return f"{round(value, 1) + 0.0:.1f}".removesuffix(".0")
