"""Drawings of the images of a run as files: one per image, or all on contact sheets."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from snellen.adapters.errors import ImageError, InputError
from snellen.analysis.drawing import RunImages
from snellen.analysis.tasks import task_of
from snellen.pipelines.progress import Reporter
from snellen.pipelines.visualization.canvas import Pixels
from snellen.pipelines.visualization.encode import encode_jpeg, picture_name
from snellen.pipelines.visualization.sheet import TILE, contact_sheet
from snellen.store.atomic_file import output_errors, write_atomically
from snellen.store.parquet.results import Results
from snellen.store.views import RunView

_PER_SHEET = 24
Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class PictureTarget:
    """The folder of drawings.

    Attributes:
        folder: it is created if necessary.
        sheet: draw contact sheets, up to 24 images on each, instead of one file per image.
        overwrite: replace existing files.
    """

    folder: Path
    sheet: bool = False
    overwrite: bool = False


@dataclass(slots=True)
class Pictures:
    """The drawings that were written.

    Attributes:
        files: in the order of the rows.
        drawn: number of images in them.
        not_drawn: images that cannot be read: dicts of image_index, image_id, code and message.
    """

    files: list[Path] = field(default_factory=list)
    drawn: int = 0
    not_drawn: list[dict[str, Any]] = field(default_factory=list)


def worst_images(results: Results, run: RunView, limit: int) -> list[dict[str, Any]]:
    """Return the incorrect images of a test run, the worst first; see `AnalysisRecord`."""
    wrong = results.filter(correct=False)
    worst_first = task_of(run.task_type).worst_first
    return results.page(wrong, sort=worst_first, descending=True, limit=limit).rows


def write_pictures(
    images: RunImages,
    rows: Sequence[Row],
    target: PictureTarget,
    reporter: Reporter,
    overlay: Callable[[Row], Pixels | None] | None = None,
) -> Pictures:
    """Draw rows and write the drawings as JPEG files.

    Args:
        images: of the run.
        rows: result rows.
        target: the place.
        reporter: receives the number of drawn images.
        overlay: draws a row another way, such as with an explanation; None for a row that it does
            not apply to, and for all rows as usual.

    Raises:
        InputError: OUTPUT_TAKEN, one of the files exists; nothing is written.
        RunError: DISK_FULL, OUTPUT_READONLY, OUTPUT_NOT_WRITABLE.
    """
    folder = target.folder.expanduser().absolute()
    names = _sheet_names(len(rows)) if target.sheet else [_name(row) for row in rows]
    taken = [name for name in names if (folder / name).exists()]
    if taken and not target.overwrite:
        raise InputError(
            "OUTPUT_TAKEN",
            f"'{folder / taken[0]}' exists. Expected a new file. Remove it, choose another folder "
            "with -o, or add --overwrite.",
        )
    written = Pictures()
    with output_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        drawn = _drawn(images, rows, written, reporter, overlay)
        if target.sheet:
            for number, tiles in enumerate(_chunks(drawn)):
                _write(written, folder / names[number], contact_sheet(tiles))
        else:
            for row, picture in drawn:
                _write(written, folder / _name(row), picture)
    return written


def caption(row: Row) -> str:
    """Return the text of a row in one line: its counts or classes, and its id.

    >>> caption({"image_id": "a.png", "tp": 2, "fp": 1, "fn": 0})
    'TP 2  FP 1  FN 0  a.png'
    """
    if row.get("status") == "failed":
        return f"{row['error_code']}  {row['image_id']}"
    if row.get("tp") is not None:
        return f"TP {row['tp']}  FP {row['fp']}  FN {row['fn']}  {row['image_id']}"
    if row.get("predicted_label") is not None:
        true = row.get("true_label")
        seen = f"{row['predicted_label']} {row['confidence']:.2f}"
        return f"{seen}, is {true}  {row['image_id']}" if true else f"{seen}  {row['image_id']}"
    return str(row["image_id"])


def _drawn(
    images: RunImages,
    rows: Sequence[Row],
    written: Pictures,
    reporter: Reporter,
    overlay: Callable[[Row], Pixels | None] | None,
) -> Iterator[tuple[Row, Pixels]]:
    for number, row in enumerate(rows):
        reporter.status(f"Drawing images: {number:,} of {len(rows):,}")
        try:
            picture = overlay(row) if overlay is not None else None
            yield row, images.draw(row) if picture is None else picture
        except ImageError as error:
            place = {"image_index": row["image_index"], "image_id": row["image_id"]}
            written.not_drawn.append({**place, "code": error.code, "message": error.message})
            continue
        written.drawn += 1


def _chunks(drawn: Iterator[tuple[Row, Pixels]]) -> Iterator[list[tuple[Pixels, str]]]:
    tiles: list[tuple[Pixels, str]] = []
    for row, picture in drawn:
        tiles.append((_small(picture), caption(row)))
        if len(tiles) == _PER_SHEET:
            yield tiles
            tiles = []
    if tiles:
        yield tiles


def _small(picture: Pixels) -> Pixels:
    import numpy as np
    from PIL import Image

    image = Image.fromarray(picture)
    image.thumbnail((TILE, TILE))
    return np.asarray(image)


def _write(written: Pictures, path: Path, picture: Pixels) -> None:
    write_atomically(path, encode_jpeg(picture))
    written.files.append(path)


def _name(row: Row) -> str:
    return f"{picture_name(row['image_index'], row['image_id'])}.jpg"


def _sheet_names(images: int) -> list[str]:
    return [f"sheet-{number + 1:02d}.jpg" for number in range(-(-images // _PER_SHEET))]
