"""Fingerprint of a run's dataset, by which reviews are found again for other runs."""

from __future__ import annotations

import hashlib

import pyarrow.parquet as pq

from snellen.analysis.reader import owner_of
from snellen.pipelines.data.manifest_reader import MANIFEST_NAME
from snellen.pipelines.runs.finish import results_folder
from snellen.store.sql.database import Database
from snellen.store.views import AnyRun


def dataset_fingerprint(db: Database, run: AnyRun) -> str:
    """Return the sha256 of the image ids of a run, in their order.

    Neither labels nor times are part of it: reviews stay when a label is corrected, and when the
    files are copied.

    Raises:
        RunError: RUN_NOT_STARTED.
    """
    path = results_folder(owner_of(db, run)) / MANIFEST_NAME
    digest = hashlib.sha256()
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(columns=["image_id"]):
            text = "\0".join(batch.column(0).to_pylist())
            digest.update(text.encode("utf-8", "surrogatepass") + b"\0")
    return digest.hexdigest()
