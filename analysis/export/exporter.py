"""The interface of an exporter: a format that the rows of a finished run are written to.

To add one, install a package with an entry point:

[project.entry-points."snellen.exporters"]
mine = "my_package.my_module:MyExporter"
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import pyarrow as pa

from snellen.adapters.types import TaskType
from snellen.store.parquet.results import Results, RowFilter
from snellen.store.views import AnyRun, InferenceJobView

DESCRIPTION_NAME = "export.json"
"""File in an exported folder or archive with its origin; it marks a folder as an export."""


@dataclass(frozen=True, eq=False)
class ExportRequest:
    """The rows to export.

    Attributes:
        run: a completed test run or inference job.
        results: its result rows, with matches at the run's own operating point.
        chosen: conditions on the rows.
        attachments: files to store with the run, for an exporter with ``takes_attachments``.
    """

    run: AnyRun
    results: Results
    chosen: RowFilter
    attachments: tuple[Path, ...] = ()

    def units(self) -> Iterator[pa.Table]:
        """Yield the chosen rows in image order, one table per unit; each call reads them again.

        The columns are those of a result row, see `snellen.store.parquet.schema`.
        """
        return self.results.select_units(**self.chosen)

    @property
    def class_names(self) -> list[str]:
        """Class names in the order of the class ids."""
        return self.run.class_names or []

    @property
    def labelled(self) -> bool:
        """True for a test run, whose images have ground truth."""
        return not isinstance(self.run, InferenceJobView)

    @property
    def min_confidence(self) -> float:
        """Objects below it are omitted by formats of objects: a float32, as files store it."""
        return float(np.float32(self.chosen.get("min_confidence") or 0.0))


@dataclass(frozen=True, slots=True)
class Exported:
    """Summary of a written export.

    Attributes:
        images: number of images in the export.
        left_out: by reason, the number of chosen images, objects or files that are not in it.
            ``failed_images`` are chosen images: with ``images`` they add up to the selection.
        notes: remarks on the export for the user, as sentences.
    """

    images: int
    left_out: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@runtime_checkable
class Exporter(Protocol):
    """A format; the class has no arguments and no state.

    Attributes:
        name: of the format.
        suffix: of the file that is written, such as ``.csv``; empty for a folder.
        tasks: the tasks whose rows the format can hold.

    An exporter that stores further files with a run, such as its report, sets
    ``takes_attachments = True``; they are in ``request.attachments``.
    """

    name: str
    suffix: str
    tasks: frozenset[TaskType]

    def write(self, request: ExportRequest, target: Path) -> Exported:
        """Write the chosen rows, one unit in memory at a time.

        Args:
            request: the rows.
            target: a temporary path that the caller renames or removes: a new file, or an
                existing empty folder.

        Returns:
            The summary: every chosen image is counted in it.
        """


def description(request: ExportRequest, format_name: str, exported: Exported) -> dict[str, Any]:
    """Return the origin of an export: the run, the conditions and the counts."""
    run = request.run
    return {
        "kind": "test_run" if request.labelled else "inference_job",
        "id": run.id,
        "name": run.name,
        "format": format_name,
        "conditions": {key: value for key, value in request.chosen.items() if value is not None},
        "images": exported.images,
        "left_out": dict(exported.left_out),
        "notes": list(exported.notes),
    }


def description_text(request: ExportRequest, format_name: str, exported: Exported) -> str:
    """Return `description` as the text of a JSON file."""
    return json.dumps(description(request, format_name, exported), indent=2) + "\n"


def spoken(run: AnyRun) -> str:
    """Return the kind and id of a run for messages: ``run 3``, ``inference job 3``."""
    return f"{'inference job' if isinstance(run, InferenceJobView) else 'run'} {run.id}"
