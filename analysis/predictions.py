"""Read stored inference jobs: their files, rows and pictures."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from snellen.adapters.errors import InputError
from snellen.pipelines.config.loader import build_as
from snellen.pipelines.config.predict import PredictConfig
from snellen.pipelines.data.manifest_reader import MANIFEST_NAME, ManifestReader
from snellen.pipelines.execution.worker.preprocess import manifest_rows, read_row
from snellen.pipelines.runs.finish import results_folder
from snellen.pipelines.storage.address import frozen_options
from snellen.pipelines.storage.remote_path import place_of
from snellen.pipelines.visualization.canvas import MAX_SIDE, Pixels
from snellen.store.kinds import INFERENCE_JOB
from snellen.store.ledger import committed_units
from snellen.store.parquet.results import Results
from snellen.store.parquet.unit_files import UnitProblem, verify_units
from snellen.store.sql.database import Database
from snellen.store.views import InferenceJobView


def open_job_results(db: Database, job: InferenceJobView) -> Results:
    """A reader of the job's result rows; a job that never began has none."""
    folder = results_folder(job) if job.results_dir else Path()
    return Results(folder, committed_units(db, INFERENCE_JOB, job.id))


def job_files(db: Database, job: InferenceJobView) -> list[Path]:
    """Absolute paths of the job's files in unit order."""
    records = committed_units(db, INFERENCE_JOB, job.id)
    return [results_folder(job) / record.file for record in records] if records else []


def verify_job(db: Database, job: InferenceJobView) -> tuple[int, list[UnitProblem]]:
    """Hash every file of a job again and compare with the ledger.

    Returns:
        The number of files, and what differs.
    """
    records = committed_units(db, INFERENCE_JOB, job.id)
    return len(records), verify_units(results_folder(job), records) if records else []


def draw_image(
    db: Database, job: InferenceJobView, image_index: int, *, max_side: int = MAX_SIDE
) -> Pixels:
    """Draw one image of a job from its stored row; the image is read again.

    Args:
        image_index: of the result row.
        max_side: larger images are drawn on a smaller copy, pixels.

    Returns:
        uint8, shape (h, w, 3); see `snellen.pipelines.tasks.render.draw_result`.

    Raises:
        InputError: IMAGE_NOT_FOUND, the job has no such row.
        ImageError: the image cannot be read or decoded, or has changed since.
    """
    from snellen.adapters.images.decode import decode_image
    from snellen.pipelines.tasks.render import draw_row

    rows = open_job_results(db, job).lazy().filter(pl.col("image_index") == image_index)
    found = rows.collect().to_dicts()
    if not found:
        raise InputError(
            "IMAGE_NOT_FOUND",
            f"inference job {job.id} has no row of image {image_index}; it has "
            f"{job.total_images or 0} images, counted from 0.",
        )
    reader = ManifestReader(results_folder(job) / MANIFEST_NAME)
    config = build_as(PredictConfig, job.config).dataset
    storage = frozen_options(config.storage_options)
    data = read_row(
        manifest_rows(reader.read(image_index, image_index + 1))[0],
        root=place_of(reader.root, storage),
        follow_links=config.follow_links,
        storage=storage,
    )
    return draw_row(decode_image(data).pixels, found[0], job.class_names, max_side=max_side)
