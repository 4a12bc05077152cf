"""Draw the images of stored test runs and inference jobs."""

from __future__ import annotations

import polars as pl

from snellen.adapters.errors import InputError
from snellen.analysis.reader import open_results, owner_of
from snellen.pipelines.config.evaluate import EvaluateConfig
from snellen.pipelines.config.loader import build_as
from snellen.pipelines.config.predict import PredictConfig
from snellen.pipelines.data.image_reader import (
    ImageAccess,
    ImageFile,
    manifest_rows,
    read_image,
)
from snellen.pipelines.data.manifest_reader import MANIFEST_NAME, ManifestReader
from snellen.pipelines.runs.finish import results_folder
from snellen.pipelines.storage.address import frozen_options
from snellen.pipelines.storage.remote_path import place_of
from snellen.pipelines.visualization.canvas import MAX_SIDE, Pixels
from snellen.store.sql.database import Database
from snellen.store.views import AnyRun, RunView


def draw_image(db: Database, run: AnyRun, image_index: int, *, max_side: int = MAX_SIDE) -> Pixels:
    """Read an image of a run again and draw its stored predictions.

    The objects of a test run are coloured by their match with the ground truth, see
    `snellen.pipelines.visualization.matches.draw_matches`.

    Args:
        db: the open database.
        run: a test run, also a rescored one, or an inference job.
        image_index: index of the image in the run, from 0.
        max_side: maximum side of the drawing in pixels; larger images are scaled down first.

    Returns:
        uint8, shape (h, w, 3); see `snellen.pipelines.tasks.render.draw_result`.

    Raises:
        InputError: IMAGE_NOT_FOUND, the run has no such row.
        ImageError: the image cannot be read or decoded, or has changed since.
    """
    from snellen.pipelines.tasks.render import draw_row

    rows = open_results(db, run).lazy().filter(pl.col("image_index") == image_index)
    found = rows.collect().to_dicts()
    if not found:
        raise InputError(
            "IMAGE_NOT_FOUND",
            f"run {run.id} has no row for image {image_index}. Expected an index below "
            f"{run.total_images or 0}, the number of its images.",
        )
    owner = owner_of(db, run)
    reader = ManifestReader(results_folder(owner) / MANIFEST_NAME)
    kind: type[EvaluateConfig] | type[PredictConfig] = (
        EvaluateConfig if isinstance(run, RunView) else PredictConfig
    )
    config = build_as(kind, owner.config)
    root = place_of(reader.root, frozen_options(config.dataset.storage_options))
    (row,) = manifest_rows(reader.read(image_index, image_index + 1))
    access = ImageAccess.of(config.dataset, root, config.images)
    file = ImageFile.of(row).known_as(found[0].get("content_hash"))
    pixels = access.decode(read_image(file, access)).pixels
    return draw_row(pixels, found[0], run.class_names, max_side=max_side)
