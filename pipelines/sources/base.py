"""What every source does: describe the data set, then stream its manifest.

A source is opened once, on the driver. ``classes`` must be cheap, because a wrong class map has
to stop the run before a large set is listed; ``batches`` streams rows in the final order, so
that a manifest of any length is written in flat memory.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from pipelines.config import DatasetConfig


@dataclass(frozen=True, slots=True)
class DatasetInfo:
    """What a source knows before it lists its images.

    Attributes:
        root: folder that image ids are relative to, and that no image may lie outside of.
        split: the split that was taken, or None where the format has none.
        classes: the data set's own classes in its own order, or None where it has no labels.
        labels_are_ids: labels are integers without names.
        class_order: how ``classes`` was ordered, for the record.
        meta_fields: further columns, already named ``meta_*``.
        notes: what a person should know ("took folder test/").
    """

    root: Path
    split: str | None
    classes: tuple[str, ...] | None
    labels_are_ids: bool = False
    class_order: str | None = None
    meta_fields: tuple[pa.Field, ...] = ()
    notes: tuple[str, ...] = field(default=())


def absolute_path(text: str) -> Path:
    """An absolute path without ``..``: whether an image lies below the root is seen in its text."""
    path = Path(text).expanduser().absolute()
    return path.resolve() if ".." in path.parts else path


class Source(ABC):
    """A data set in one format. Subclasses are registered in ``sources/registry.py``."""

    def __init__(self, config: DatasetConfig) -> None:
        self.config = config

    @classmethod
    @abstractmethod
    def recognises(cls, path: Path) -> bool:
        """Whether ``dataset.format: auto`` should choose this format for ``path``."""

    @abstractmethod
    def describe(self) -> DatasetInfo:
        """Find the classes without listing every image.

        Raises:
            InputError: the path is missing, empty or not of this format.
        """

    @abstractmethod
    def batches(self, info: DatasetInfo) -> Iterator[dict[str, Sequence[Any]]]:
        """Yield the images in manifest order, as columns.

        Columns: ``image_id``, ``location`` (escaped as by ``listing.escape_id``), ``size``,
        ``mtime_ns``, ``label`` (the data set's class name, or None), ``label_id`` (index into
        ``info.classes``, or None), and one per ``info.meta_fields``. All lists of one batch have
        the same length.
        """
