"""Fingerprint of a run's dataset, by which reviews are found again for other runs."""

from __future__ import annotations

import hashlib

from snellen.analysis.reader import owner_of
from snellen.pipelines.data.manifest_reader import MANIFEST_NAME, ManifestReader
from snellen.pipelines.runs.finish import results_folder
from snellen.store.sql.database import Database
from snellen.store.views import AnyRun


def dataset_fingerprint(db: Database, run: AnyRun) -> str:
    """Return the sha256 of the image ids of a run, in their order.

    Neither labels nor times are part of it: reviews stay when a label is corrected, and when the
    files are copied.

    Raises:
        RunError: RUN_NOT_STARTED; RESULTS_MISSING, the manifest does not exist.
    """
    path = results_folder(owner_of(db, run)) / MANIFEST_NAME
    digest = hashlib.sha256()
    for part in ManifestReader(path).image_ids():
        digest.update("\0".join(part).encode("utf-8", "surrogatepass") + b"\0")
    return digest.hexdigest()
