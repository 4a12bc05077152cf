"""Made-up result rows as a request to export."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from snellen.analysis.export.exporter import ExportRequest
from snellen.store.parquet.results import Results
from snellen.store.parquet.unit_record import UnitRecord
from snellen.store.views import AnyRun
from tests.metrics.detection.examples import TASK

CLASS_NAMES = ["a", "b", "ä: c"]


def request_for(arrow: pa.Table, kind: str, folder: Path, run: AnyRun) -> ExportRequest:
    """Return a request for the rows of a table; the run is ``run`` with the task of ``kind``."""
    pq.write_table(arrow, folder / "unit.parquet")
    record = UnitRecord(0, 0, arrow.num_rows, "unit.parquet", "", arrow.num_rows, 0, "", "", {}, {})
    run = replace(run, task_type=TASK[kind], class_names=CLASS_NAMES)
    return ExportRequest(run, Results(folder, [record]), {})
