"""Manifest: the chosen images of a run as a dataset, which ``snellen eval`` evaluates."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from snellen.adapters.errors import InputError
from snellen.analysis.export.columnar import ALL_TASKS
from snellen.analysis.export.exporter import Exported, ExportRequest, spoken
from snellen.pipelines.data.manifest_reader import MANIFEST_NAME, ManifestReader
from snellen.pipelines.runs.reading.ground_truth import corrected_folder

_INDEX = "image_index"


class ManifestExporter:
    """One Parquet file with the chosen rows of the run's manifest.

    Labels, their classes and the places of the images are those of the run's dataset. The images
    are not copied.
    """

    name = "manifest"
    suffix = ".parquet"
    tasks = ALL_TASKS

    def write(self, request: ExportRequest, target: Path) -> Exported:
        """Write the file.

        Raises:
            InputError: EXPORT_EMPTY, no image is chosen; MANIFEST_MISSING.
        """
        rows = 0
        writer: pq.ParquetWriter | None = None
        try:
            for table in _chosen(request):
                if writer is None:
                    writer = pq.ParquetWriter(target, table.schema, compression="zstd")
                index = pa.array(range(rows, rows + table.num_rows), pa.int64())
                position = table.schema.get_field_index(_INDEX)
                writer.write_table(table.set_column(position, table.schema.field(_INDEX), index))
                rows += table.num_rows
        finally:
            if writer is not None:
                writer.close()
        if not rows:
            raise InputError(
                "EXPORT_EMPTY",
                f"no image of {spoken(request.run)} meets the conditions. Expected at least one: "
                "a dataset is not empty. Remove a condition.",
            )
        return Exported(rows)


def _chosen(request: ExportRequest) -> Iterator[pa.Table]:
    """Yield the manifest rows of the chosen images, as many as each unit has."""
    # a run with corrected labels has a manifest with them
    folder = corrected_folder(request.run) or request.results.results_dir
    path = folder / MANIFEST_NAME
    if not path.is_file():
        raise InputError(
            "MANIFEST_MISSING",
            f"'{path}' does not exist. Expected the manifest of {spoken(request.run)}. Restore "
            "it, or evaluate the dataset again.",
        )
    reader = ManifestReader(path)
    for unit in request.units():
        index = unit[_INDEX]
        if not len(index):
            continue
        start, stop = pc.min(index).as_py(), pc.max(index).as_py() + 1
        rows = reader.read(start, stop)
        yield rows.filter(pc.is_in(rows[_INDEX], value_set=index.combine_chunks()))
