"""The messages between a run and its workers: small, picklable, the same for both engines."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from snellen.adapters.errors import RunError
from snellen.adapters.types import AdapterSpec, ModelInfo
from snellen.metrics.detection.operating_point import OperatingPoint
from snellen.pipelines.data.class_map import ClassMap
from snellen.pipelines.data.image_reader import ImageAccess
from snellen.store.parquet.unit_record import UnitRecord


@dataclass(frozen=True, slots=True)
class PictureSpec:
    """The pictures that are written beside the results.

    Attributes:
        visualize: annotated copies of no, failed or all images, or of a number of images, spread
            evenly.
        masks: also write an image of instance numbers for each image with masks.
        total: number of images in the run.
        class_names: in the order of the outputs.
    """

    visualize: Literal["none", "failed", "all"] | int
    masks: bool
    total: int
    class_names: tuple[str, ...]

    def wants(self, image_index: int, *, failed: bool) -> bool:
        """Return True where an annotated copy of the image is written."""
        if not isinstance(self.visualize, int):
            return self.visualize == "all" or (self.visualize == "failed" and failed)
        # The k-th of n is image floor(k * total / n), as for dataset.limit.
        n = min(self.visualize, self.total)
        k = -(-image_index * n // self.total)
        return k < n and k * self.total // n == image_index


@dataclass(frozen=True, slots=True)
class Retry:
    """The failed images of a run that are scored again.

    Attributes:
        codes: error codes of their rows.
        files: from the id of a unit to the file with its current rows, relative to the results
            folder. Other units are scored as a whole.
    """

    codes: frozenset[str]
    files: Mapping[int, str]


@dataclass(frozen=True, slots=True)
class ScoringSpec:
    """The settings of a run that the result of a unit depends on.

    Attributes:
        adapter: the specification of the model.
        info: description of the checkpoint, as the driver found it.
        class_map: from labels to class ids; None for unlabelled images.
        results_dir: the run's folder, the same path on every node.
        manifest: path of the run's manifest.
        access: root of the dataset, links and options of remote storage.
        batch_size: number of images per forward pass.
        device: ``cpu`` or ``cuda``; None takes a GPU if the worker has one.
        torch_threads: number of threads of one forward pass on a CPU.
        classes: the dataset's class names in the order of its own ids.
        operating: the point at which matches are counted; None for a task without matches.
        pictures: the pictures that are written; None for none.
        retry: the failed images that are scored again; None where there are none.
    """

    adapter: AdapterSpec
    info: ModelInfo
    class_map: ClassMap | None
    results_dir: Path
    manifest: Path
    access: ImageAccess
    batch_size: int
    device: str | None
    torch_threads: int = 1
    classes: tuple[str, ...] = ()
    operating: OperatingPoint | None = None
    pictures: PictureSpec | None = None
    retry: Retry | None = None

    @property
    def keypoints(self) -> int | None:
        """Number of keypoints of each object, by the model or the sigmas; None if not known."""
        if self.info.keypoints is not None:
            return self.info.keypoints
        sigmas = self.operating.sigmas if self.operating is not None else None
        return len(sigmas) if sigmas else None


@dataclass(frozen=True, slots=True)
class UnitOutcome:
    """The outcome of a unit: the record of its file, or the error that stops the run.

    Attributes:
        unit_id: number of the unit in the plan.
        record: the record for the ledger; None with an error.
        error: code and message of a problem of the run, not of an image: no space left, a model
            that does not load.
    """

    unit_id: int
    record: UnitRecord | None = None
    error: tuple[str, str] | None = None

    def result(self) -> UnitRecord:
        """Return the record.

        Raises:
            RunError: the error that stops the run.
        """
        if self.error is not None:
            raise RunError(*self.error)
        assert self.record is not None, "an outcome has a record or an error"
        return self.record
