"""The images of a test run or an inference job, read from where its manifest says they are."""

from __future__ import annotations

from snellen.analysis.drawing import RunImages
from snellen.analysis.hygiene.image_set import SetImage
from snellen.analysis.reader import open_results
from snellen.store.sql.database import Database
from snellen.store.views import AnyRun

_COLUMNS = ("image_index", "image_id", "content_hash", "true_label")


def images_of_run(db: Database, run: AnyRun) -> list[SetImage]:
    """List the images of a run, with their labels if they are classified ones."""
    images = RunImages(db, run)
    return [
        SetImage(row["image_id"], row["true_label"], images.file(row), images.access)
        for table in open_results(db, run).iter_units(_COLUMNS)
        for row in table.to_pylist()
    ]
