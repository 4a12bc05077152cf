"""The steps of a unit: prepare, infer, make the result rows, write.

`snellen.pipelines.execution.worker.unit_worker.UnitWorker` takes them all in one place; on GPU
nodes each of them is a stage of Ray Data. Images are prepared in order, and every ``batch_size``
good ones form a batch. So batches depend on the unit alone, never on what else a worker does, and
a resumed run forms them again.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from snellen.adapters.errors import ImageError
from snellen.adapters.output_classes import in_classes
from snellen.adapters.runtime.isolated_inference import infer_isolated
from snellen.pipelines.execution.worker.preprocess import ImagePreparer, UnitImage
from snellen.pipelines.execution.worker.result_rows import result_table
from snellen.pipelines.execution.worker.retried_rows import with_former_rows
from snellen.pipelines.execution.worker.spec import ScoringSpec, UnitOutcome
from snellen.pipelines.planning.units import Unit
from snellen.store.parquet.unit_files import write_unit_file
from snellen.store.parquet.unit_record import UnitRecord

if TYPE_CHECKING:
    from snellen.adapters.base import Adapter

Notice = Callable[[str], None]
"""Receives the indices of the images that are about to be handled, separated by commas."""


@dataclass(frozen=True, slots=True)
class Precautions:
    """The handling of images that may kill the process.

    Attributes:
        poisoned: images that must not be touched, with the errors of their rows.
        notice: is told which images are about to be handled; None without a listener.
    """

    poisoned: Mapping[int, ImageError] = field(default_factory=dict)
    notice: Notice | None = None

    def announce(self, indices: Sequence[int]) -> None:
        """Tell the listener which images are about to be handled."""
        if self.notice is not None:
            self.notice(",".join(map(str, indices)))


def prepare_images(manifest: pa.Table, preparer: ImagePreparer) -> list[UnitImage]:
    """Prepare every image of a unit."""
    return [preparer.prepare(row) for row in preparer.rows(manifest)]


def score_images(
    manifest: pa.Table,
    preparer: ImagePreparer,
    adapter: Adapter,
    batch_size: int,
    precautions: Precautions,
) -> list[UnitImage]:
    """Prepare and infer a unit batch by batch, so that only one batch of pixels is held.

    Args:
        manifest: the unit's rows.
        preparer: prepares images for the model.
        adapter: the loaded model.
        batch_size: number of images per forward pass.
        precautions: for images that may kill the process.

    Returns:
        One image per row, in order.
    """
    images: list[UnitImage] = []
    batch: dict[int, UnitImage] = {}
    for row in preparer.rows(manifest):
        index = row["image_index"]
        if index in precautions.poisoned:
            images.append(UnitImage(error=precautions.poisoned[index]))
            continue
        precautions.announce([index])
        image = preparer.prepare(row)
        images.append(image)
        if image.item is not None:
            batch[index] = image
        if len(batch) == batch_size:
            precautions.announce(list(batch))
            infer_images(list(batch.values()), adapter, batch_size)
            batch = {}
    if batch:
        precautions.announce(list(batch))
        infer_images(list(batch.values()), adapter, batch_size)
    return images


def infer_images(images: Sequence[UnitImage], adapter: Adapter, batch_size: int) -> None:
    """Infer prepared images in batches of the good ones and drop their pixels.

    Args:
        images: prepared; each good one gets its ``result``, in the classes of its item.
        adapter: the loaded model.
        batch_size: number of images per forward pass.
    """
    good = [(image, image.item) for image in images if image.item is not None]
    for start in range(0, len(good), batch_size):
        batch = good[start : start + batch_size]
        targets = [image.truth.class_id for image, _ in batch]
        results = infer_isolated(adapter, [item for _, item in batch], targets, batch_size)
        for (image, item), result in zip(batch, results, strict=True):
            image.result = in_classes(result, item.classes)
            # The row still needs width, height and warnings; a view would keep the pixels.
            image.item = replace(item, array=item.array[:0].copy())


def unit_table(
    spec: ScoringSpec, unit: Unit, manifest: pa.Table, images: Sequence[UnitImage]
) -> pa.Table:
    """Make the result rows of a unit and write its pictures where any are wanted.

    Args:
        spec: of the run.
        unit: the unit.
        manifest: the rows that were scored, see `rows_to_score`.
        images: those images after inference, in the same order.
    """
    names = spec.class_map.names if spec.class_map is not None else ()
    table = result_table(manifest, images, spec.info.task_type, names, spec.operating)
    if spec.pictures is not None:
        from snellen.pipelines.execution.worker.visualize import add_pictures

        table = add_pictures(spec, spec.pictures, manifest, table)
    return with_former_rows(spec, unit, table)


def write_unit(
    spec: ScoringSpec, unit: Unit, table: pa.Table, worker: str, timings: Mapping[str, float]
) -> UnitOutcome:
    """Write the file of a unit under an attempt-unique name and describe it for the ledger."""
    attempt = uuid.uuid4().hex[:12]
    started = time.perf_counter()
    file, sha256 = write_unit_file(table, spec.results_dir, unit.unit_id, attempt)
    record = UnitRecord(
        unit_id=unit.unit_id,
        start=unit.start,
        stop=unit.stop,
        file=file,
        sha256=sha256,
        rows=table.num_rows,
        failed=_count(pc.equal(table["status"], "failed")),
        attempt=attempt,
        worker=worker,
        timings={**timings, "write_s": time.perf_counter() - started},
        counts=_counts(table),
    )
    return UnitOutcome(unit.unit_id, record)


def _counts(table: pa.Table) -> dict[str, float]:
    """Count for the running metric; the stored metrics are computed from the files."""
    correct = table["is_correct"]
    counts = {
        "labelled": float(len(correct) - correct.null_count),
        "correct": float(_count(correct)),
        "loss": float(pc.sum(table["loss"]).as_py() or 0.0),
    }
    if table["tp"].null_count < len(table):
        for key in ("tp", "fp", "fn"):
            counts[key] = float(_count(table[key]))
    return counts


def _count(mask: pa.ChunkedArray) -> int:
    return int(pc.sum(mask).as_py() or 0)
