"""JSON: one object per line, or one array of objects."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from snellen.analysis.export.columnar import ALL_TASKS, rows_of
from snellen.analysis.export.exporter import Exported, ExportRequest
from snellen.store.parquet.results import json_safe


def json_lines(request: ExportRequest) -> Iterator[str]:
    """Yield each chosen row as a JSON object without line breaks.

    Masks are text; numbers that are not finite are null; dates are text.
    """
    for row in rows_of(request):
        yield json.dumps(json_safe(row), ensure_ascii=False, allow_nan=False)


class NdjsonExporter:
    """One file with one JSON object per line and image, in UTF-8."""

    name = "ndjson"
    suffix = ".ndjson"
    tasks = ALL_TASKS

    def write(self, request: ExportRequest, target: Path) -> Exported:
        """Write the file."""
        images = 0
        with target.open("x", encoding="utf-8", newline="\n") as file:
            for line in json_lines(request):
                file.write(line + "\n")
                images += 1
        return Exported(images)


class JsonExporter:
    """One file with a JSON array of objects, one per image, in UTF-8."""

    name = "json"
    suffix = ".json"
    tasks = ALL_TASKS

    def write(self, request: ExportRequest, target: Path) -> Exported:
        """Write the file."""
        images = 0
        with target.open("x", encoding="utf-8", newline="\n") as file:
            file.write("[")
            for line in json_lines(request):
                file.write(f"{',' if images else ''}\n{line}")
                images += 1
            file.write("\n]\n")
        return Exported(images)
