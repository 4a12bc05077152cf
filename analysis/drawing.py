"""Draw the images of stored inference jobs."""

from __future__ import annotations

import polars as pl

from snellen.adapters.errors import InputError
from snellen.analysis.reader import open_results
from snellen.pipelines.config.loader import build_as
from snellen.pipelines.config.predict import PredictConfig
from snellen.pipelines.data.image_reader import ImageAccess, manifest_rows, read_row
from snellen.pipelines.data.manifest_reader import MANIFEST_NAME, ManifestReader
from snellen.pipelines.runs.finish import results_folder
from snellen.pipelines.storage.address import frozen_options
from snellen.pipelines.storage.remote_path import place_of
from snellen.pipelines.visualization.canvas import MAX_SIDE, Pixels
from snellen.store.sql.database import Database
from snellen.store.views import InferenceJobView


def draw_image(
    db: Database, job: InferenceJobView, image_index: int, *, max_side: int = MAX_SIDE
) -> Pixels:
    """Read an image of a job again and draw its stored predictions.

    Args:
        db: the open database.
        job: the inference job.
        image_index: index of the image in the job, from 0.
        max_side: maximum side of the drawing in pixels; larger images are scaled down first.

    Returns:
        uint8, shape (h, w, 3); see `snellen.pipelines.tasks.render.draw_result`.

    Raises:
        InputError: IMAGE_NOT_FOUND, the job has no such row.
        ImageError: the image cannot be read or decoded, or has changed since.
    """
    from snellen.adapters.images.decode import decode_image
    from snellen.pipelines.tasks.render import draw_row

    rows = open_results(db, job).lazy().filter(pl.col("image_index") == image_index)
    found = rows.collect().to_dicts()
    if not found:
        raise InputError(
            "IMAGE_NOT_FOUND",
            f"inference job {job.id} has no row for image {image_index}. Expected an index below "
            f"{job.total_images or 0}, the number of its images.",
        )
    reader = ManifestReader(results_folder(job) / MANIFEST_NAME)
    config = build_as(PredictConfig, job.config).dataset
    root = place_of(reader.root, frozen_options(config.storage_options))
    (row,) = manifest_rows(reader.read(image_index, image_index + 1))
    data = read_row(row, ImageAccess.of(config, root))
    return draw_row(decode_image(data).pixels, found[0], job.class_names, max_side=max_side)
