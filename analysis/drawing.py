"""Draw the images of stored test runs and inference jobs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

from snellen.adapters.errors import InputError
from snellen.adapters.types import DecodedImage
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


class RunImages:
    """The images of a run, read again from where its manifest says they are.

    Attributes:
        class_names: of the run.
        access: how its images are read.
    """

    def __init__(self, db: Database, run: AnyRun) -> None:
        """Open the manifest of a test run, also a rescored one, or of an inference job."""
        owner = owner_of(db, run)
        self.class_names = run.class_names
        self._manifest = ManifestReader(results_folder(owner) / MANIFEST_NAME)
        kind: type[EvaluateConfig] | type[PredictConfig] = (
            EvaluateConfig if isinstance(run, RunView) else PredictConfig
        )
        config = build_as(kind, owner.config)
        root = place_of(self._manifest.root, frozen_options(config.dataset.storage_options))
        self.access = ImageAccess.of(config.dataset, root, config.images)

    def file(self, row: Mapping[str, Any]) -> ImageFile:
        """Return the place of the image of a result row.

        Args:
            row: ``image_index``, and ``content_hash`` of the bytes that were scored, if known.
        """
        index = row["image_index"]
        (place,) = manifest_rows(self._manifest.read(index, index + 1))
        return ImageFile.of(place).known_as(row.get("content_hash"))

    def decode(self, row: Mapping[str, Any], preview: int | None = None) -> DecodedImage:
        """Read and decode the image of a result row.

        Args:
            row: as of `file`.
            preview: maximum side of a picture for people, see
                `snellen.adapters.images.decode.decode_image`; None for the exact pixels.

        Raises:
            ImageError: the image cannot be read or decoded, or has changed since.
        """
        return self.access.decode(read_image(self.file(row), self.access), preview=preview)

    def draw(self, row: Mapping[str, Any], *, max_side: int = MAX_SIDE) -> Pixels:
        """Draw a result row on its image; see `draw_image`."""
        from snellen.pipelines.tasks.render import draw_row

        return draw_row(self.decode(row).pixels, row, self.class_names, max_side=max_side)


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
    rows = open_results(db, run).lazy().filter(pl.col("image_index") == image_index)
    found = rows.collect().to_dicts()
    if not found:
        raise InputError(
            "IMAGE_NOT_FOUND",
            f"run {run.id} has no row for image {image_index}. Expected an index below "
            f"{run.total_images or 0}, the number of its images.",
        )
    return RunImages(db, run).draw(found[0], max_side=max_side)
