"""Write annotated images and instance images of a unit beside its results.

The image is read a second time for its picture: after decoding only the small input array of the
model is kept, and usually few pictures are written. File names depend on the image alone, so a
unit that is repeated replaces its pictures, each atomically.
"""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from snellen.adapters.errors import ErrorCode
from snellen.adapters.types import ImageStatus
from snellen.pipelines.data.image_reader import manifest_rows, read_row
from snellen.pipelines.execution.worker.spec import PictureSpec, ScoringSpec
from snellen.store.atomic_file import write_atomically

VISUALIZATIONS, MASKS = "visualizations", "masks"
FOLDERS = (VISUALIZATIONS, MASKS)
"""Folders of pictures in the folder of a job."""
_PER_FOLDER = 1000
_FLAT = 10_000
"""Maximum number of images whose pictures share one folder; above it there are `_PER_FOLDER`."""


def add_pictures(
    spec: ScoringSpec, pictures: PictureSpec, manifest: pa.Table, table: pa.Table
) -> pa.Table:
    """Write the requested pictures and add their paths to the result rows.

    Args:
        spec: of the run.
        pictures: the requested pictures.
        manifest: rows of the unit.
        table: its result rows, in the same order.

    Returns:
        The result rows with ``visualization_path`` and ``predicted_mask_path``: relative to the
        results folder, null where there is no picture.

    Raises:
        RunError: DISK_FULL, OUTPUT_READONLY or OUTPUT_NOT_WRITABLE.
    """
    drawn: list[str | None] = [None] * table.num_rows
    masks: list[str | None] = [None] * table.num_rows
    places = manifest_rows(manifest)
    short = table.select(["image_index", "image_name", "status"]).to_pylist()
    for number, known in enumerate(short):
        failed = known["status"] == ImageStatus.FAILED
        wants_mask = pictures.masks and not failed
        wanted = pictures.wants(known["image_index"], failed=failed)
        if not wanted and not wants_mask:
            continue
        row = table.slice(number, 1).to_pylist()[0]
        name = _name(pictures, row)
        if wanted and (jpeg := _draw(spec, pictures, places[number], row)) is not None:
            drawn[number] = _write(spec, VISUALIZATIONS, f"{name}.jpg", jpeg)
        if wants_mask and (png := _mask(row)) is not None:
            masks[number] = _write(spec, MASKS, f"{name}.png", png)
    for column, paths in (("visualization_path", drawn), ("predicted_mask_path", masks)):
        index = table.schema.get_field_index(column)
        values = pa.array(paths, pa.string())
        table = table.set_column(index, table.schema.field(column), values)
    return table


def _draw(
    spec: ScoringSpec, pictures: PictureSpec, place: dict[str, Any], row: dict[str, Any]
) -> bytes | None:
    """Draw the annotated image as JPEG; None where the image cannot be read."""
    if row["error_code"] == ErrorCode.WORKER_DIED:
        return None  # it would kill this worker as well
    from snellen.pipelines.tasks.render import draw_row
    from snellen.pipelines.visualization.encode import encode_jpeg

    try:
        data = read_row(place, spec.access)
        pixels = spec.access.decode(data).pixels
        return encode_jpeg(draw_row(pixels, row, pictures.class_names))
    except Exception:
        # The row stays without its picture: no drawing may end a job of millions.
        return None


def _mask(row: dict[str, Any]) -> bytes | None:
    if row["predicted_masks"] is None or row["height"] is None:
        return None
    from snellen.pipelines.visualization.encode import encode_png
    from snellen.pipelines.visualization.masks import instance_image

    try:
        return encode_png(instance_image(row["predicted_masks"], row["height"], row["width"]))
    except Exception:  # as above
        return None


def _write(spec: ScoringSpec, folder: str, name: str, data: bytes) -> str:
    write_atomically(spec.results_dir / folder / name, data)
    return f"{folder}/{name}"


def _name(pictures: PictureSpec, row: dict[str, Any]) -> str:
    from snellen.pipelines.visualization.encode import picture_name

    index = row["image_index"]
    name = picture_name(index, row["image_name"])
    return name if pictures.total <= _FLAT else f"{index // _PER_FOLDER:06d}/{name}"
