"""Reader of manifests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from snellen.adapters.errors import RunError

LABEL_COLUMNS = (
    "label",
    "true_boxes",
    "true_masks",
    "true_keypoints",
    "label_width",
    "label_height",
    "label_error",
)
"""Columns of a manifest that hold labels."""
MANIFEST_NAME = "manifest.parquet"
"""Name of the manifest in a run's folder."""
CLASSES_KEY = "snellen_classes"
"""Key of the Parquet metadata: JSON list of the dataset's classes, in the order of its ids."""
ROOT_KEY = "snellen_root"
"""Key of the Parquet metadata: the folder or address that image ids are relative to."""


class ManifestReader:
    """Reader of ranges of a manifest. Not thread-safe, because a Parquet reader has state."""

    def __init__(self, path: Path) -> None:
        """Open a manifest.

        Raises:
            RunError: RESULTS_MISSING, the file does not exist.
        """
        try:
            self._file = pq.ParquetFile(path, memory_map=False)
        except FileNotFoundError:
            raise RunError(
                "RESULTS_MISSING",
                f"the manifest {path} does not exist. Expected the one that the run wrote, which "
                "says where its images are. Restore it.",
            ) from None
        counts = [
            self._file.metadata.row_group(i).num_rows
            for i in range(self._file.metadata.num_row_groups)
        ]
        self._starts = np.concatenate([[0], np.cumsum(counts)])

    @property
    def root(self) -> str:
        """The folder or address that image ids are relative to."""
        return str((self._file.schema_arrow.metadata or {})[ROOT_KEY.encode()].decode())

    @property
    def rows(self) -> int:
        """Number of images."""
        return int(self._starts[-1])

    def image_ids(self) -> Iterator[list[str]]:
        """Yield the ids of all images, in parts."""
        for batch in self._file.iter_batches(columns=["image_id"]):
            yield batch.column(0).to_pylist()

    def read(self, start: int, stop: int) -> pa.Table:
        """Return rows ``start`` to ``stop`` (excluded), as a table of the manifest's schema."""
        first = int(np.searchsorted(self._starts, start, side="right")) - 1
        last = int(np.searchsorted(self._starts, stop, side="left"))
        table = self._file.read_row_groups(list(range(first, last)))
        return table.slice(start - int(self._starts[first]), stop - start).combine_chunks()
