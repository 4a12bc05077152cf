"""The interface of a source: describe the dataset, then stream the rows of its manifest.

A source is opened once, on the driver. ``describe`` must be cheap, because a wrong class map has to
stop the run before a large dataset is listed. ``batches`` streams rows in their final order, so
that a manifest of any length is written in constant memory.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa

from snellen.pipelines.config.dataset import DatasetConfig
from snellen.pipelines.data.report import DatasetReport
from snellen.pipelines.data.sources.file_listing import Listing
from snellen.pipelines.storage.address import frozen_options, is_remote
from snellen.pipelines.storage.remote_path import Place, RemotePath, place_of

COMMON_KEYS = frozenset({"path", "format", "limit", "strict", "storage_options", "follow_links"})
"""Keys of the section ``dataset`` that every format uses."""
CLASSES_FILE = "classes.txt"
"""Text file with the class names of a dataset, whose labels are class ids."""


@dataclass(frozen=True, slots=True)
class DatasetInfo:
    """Description of a dataset, before its images are listed.

    Attributes:
        root: folder (or address) that image ids are relative to; all images are below it.
        split: the chosen split, or None for a format without splits.
        classes: the dataset's own classes in its own order, or None without labels.
        labels_are_ids: labels are integers without names.
        class_order: the order of ``classes``, stored with the run.
        meta_fields: further columns, already named ``meta_*``.
        keypoints: number of keypoints per object; None without, or if it is not known.
        columns: columns of a table that hold ``path``, ``label`` and ``id``, as they are spelled.
        notes: messages for the user ("took the split test").
        warnings: doubts about the dataset, for its report.
    """

    root: Place
    split: str | None
    classes: tuple[str, ...] | None
    labels_are_ids: bool = False
    class_order: str | None = None
    meta_fields: tuple[pa.Field, ...] = ()
    keypoints: int | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = field(default=())
    warnings: tuple[str, ...] = field(default=())


class Source(ABC):
    """A dataset in one format. Subclasses are registered in ``sources/registry.py``.

    Attributes:
        labelled: images of this format always come with ground truth, so that it is no format
            of images to predict.
        keys: keys of the section ``dataset`` that it uses besides `COMMON_KEYS`; all others are
            rejected if they are set. None accepts every key.
        reads_labels: False if ground truth is not needed, so that no classes have to be found.
        needs: what has to be read besides boxes, "masks" or "keypoints", because it is scored;
            None to read all that there is.
        report: counts what `batches` passes over, ignores and repairs.
    """

    labelled: ClassVar[bool] = False
    keys: ClassVar[frozenset[str] | None] = None

    def __init__(self, config: DatasetConfig) -> None:
        self.reads_labels = True
        self.needs: frozenset[str] | None = None
        self.report = DatasetReport()
        self.config = config
        self.storage = frozen_options(config.storage_options)

    def begin_report(self) -> DatasetReport:
        """Return a new report, which the next listing fills."""
        self.report = DatasetReport()
        return self.report

    def listing(self) -> Listing:
        """Return the settings of a listing of this dataset."""
        return Listing(self.report, self.config.follow_links)

    def place(self, text: str, key: str = "path") -> Place:
        """Return the absolute path or the address that a setting or a file of the dataset names.

        Args:
            text: as written.
            key: key of the section ``dataset``, for messages.

        Raises:
            InputError, ConfigError: an address that is rejected.
        """
        return place_of(text, self.storage, f"dataset.{key}")

    def at(self, location: str) -> Place:
        """Return the place of an absolute location."""
        return RemotePath(location, self.storage) if is_remote(location) else Path(location)

    def advise(self, names: Sequence[str]) -> str | None:
        """Return a setting of this format that makes the classes those of a checkpoint.

        Called if they do not match.

        Args:
            names: the checkpoint's class names.
        """
        del names
        return None

    def reads(self, kind: str) -> bool:
        """Return True if "masks" or "keypoints" have to be read."""
        return self.needs is None or kind in self.needs

    @classmethod
    def keys_for(cls, config: DatasetConfig) -> frozenset[str] | None:
        """Return `keys` for a configuration; override it where another key makes one useless."""
        return cls.keys

    @classmethod
    @abstractmethod
    def recognises(cls, path: Place) -> bool:
        """Return True if ``dataset.format: auto`` should choose this format for ``path``."""

    @abstractmethod
    def describe(self) -> DatasetInfo:
        """Find the classes without listing every image.

        Raises:
            InputError: the path is missing, empty or not of this format.
        """

    @abstractmethod
    def batches(self, info: DatasetInfo) -> Iterator[dict[str, Sequence[Any]]]:
        """Yield the images in manifest order, as columns.

        Columns: ``image_id``, ``location`` (escaped by `file_listing.escape_id`), ``size``,
        ``mtime_ns``, ``label`` (the dataset's class name, or None), ``label_id`` (index into
        ``info.classes``, or None), and one per ``info.meta_fields``. All lists of a batch have
        the same length. Files that are left out, and labels that are ignored or repaired, are
        counted in ``report``.
        """
