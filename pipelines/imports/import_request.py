"""The settings of an import: the file, its format, and what its ids refer to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from snellen.adapters.errors import InputError
from snellen.adapters.types import TaskType
from snellen.pipelines.data.sources.base import DatasetInfo, Source
from snellen.pipelines.imports.predicted import Predictions

KEYS = ("id", "path", "name", "stem")
"""Parts of an image that a file of predictions may name it by."""


@dataclass(frozen=True, slots=True)
class ImportRequest:
    """A file of predictions and how to read it.

    Attributes:
        path: the file or folder.
        format: ``coco``, ``yolo``, ``table`` or ``auto``.
        classes: class names in the order of the file's class ids; None if they are not given.
        annotations: COCO JSON file with the images and categories that the file's ids refer to.
        first_class: number of the first class, where ids are positions; None if it is not given.
        columns: of a table: ``image``, ``label`` or ``confidence`` -> name of the column.
        image_key: one of `KEYS`; None to find out.
        task: the task to import; ``auto`` for what the file holds.
    """

    path: Path
    format: str = "auto"
    classes: tuple[str, ...] | None = None
    annotations: Path | None = None
    first_class: int | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    image_key: str | None = None
    task: Literal["auto"] | TaskType = "auto"


@dataclass(frozen=True, slots=True)
class ReadRequest:
    """A file of predictions with the dataset that it was made on.

    Attributes:
        request: the file and how to read it.
        source: the dataset.
        info: its description.
    """

    request: ImportRequest
    source: Source
    info: DatasetInfo

    @property
    def names(self) -> tuple[str, ...]:
        """Class names in the order of ids that are positions: the given ones, or the dataset's."""
        return self.request.classes or self.info.classes or ()

    def position(self, number: int) -> int:
        """Return the position of a class id that counts from ``first_class`` or 0."""
        return number - (self.request.first_class or 0)


def check_task(predictions: Predictions, wanted: Literal["auto"] | TaskType, path: Path) -> None:
    """Reject a file that does not hold what is to be imported.

    Raises:
        InputError: TASK_MISMATCH.
    """
    if wanted in ("auto", predictions.task):
        return
    raise InputError(
        "TASK_MISMATCH",
        f"task: {wanted} does not fit: '{path}' has predictions for {predictions.task}. Expected "
        "the same task, or auto.",
    )
