"""Score one unit: the same code in the inline engine, in CPU actors and on GPUs.

Images are prepared in order, and every ``batch_size`` good ones make a batch; so batches depend
on the unit alone, never on what else a worker does, and a resumed run repeats them exactly.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from snellen.adapters.errors import ImageError
from snellen.adapters.types import InferenceResult, Preprocessed
from snellen.pipelines.data.manifest import ManifestReader
from snellen.pipelines.execution.worker.preprocess import ImagePreparer, Prepared, manifest_rows
from snellen.pipelines.execution.worker.result_rows import result_table
from snellen.pipelines.execution.worker.spec import ScoringSpec, UnitOutcome
from snellen.pipelines.planning.units import Unit
from snellen.store.parquet.unit_files import write_unit_file

Infer = Callable[[Sequence[Preprocessed], Sequence[int | None]], list[InferenceResult]]
Notice = Callable[[str], None]
"""Told what is about to be done to which image, before it is done."""


class UnitReader:
    """Manifest rows of a unit; one Parquet reader a thread, opened once."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._local = threading.local()

    def read(self, unit: Unit) -> pa.Table:
        """The unit's rows of the manifest."""
        reader = getattr(self._local, "reader", None)
        if reader is None:
            reader = self._local.reader = ManifestReader(self._path)
        table: pa.Table = reader.read(unit.start, unit.stop)
        return table


def prepare_unit(
    table: pa.Table, preparer: ImagePreparer, poisoned: Mapping[int, ImageError], notice: Notice
) -> list[Prepared]:
    """Prepare every image of a unit; an image in ``poisoned`` is not touched."""
    indices = table["image_index"].to_pylist()
    return [
        _prepare_one(index, row, preparer, poisoned, notice)
        for index, row in zip(indices, preparer.ahead(manifest_rows(table)), strict=True)
    ]


def _prepare_one(
    index: int,
    row: Mapping[str, Any],
    preparer: ImagePreparer,
    poisoned: Mapping[int, ImageError],
    notice: Notice,
) -> Prepared:
    if index in poisoned:
        return Prepared(error=poisoned[index])
    notice(str(index))
    return preparer.prepare(row)


def score_streaming(
    table: pa.Table,
    preparer: ImagePreparer,
    infer: Infer,
    batch_size: int,
    *,
    poisoned: Mapping[int, ImageError],
    notice: Notice,
) -> tuple[list[Prepared], list[InferenceResult | None]]:
    """Prepare and infer batch by batch, so that only one batch of pixels is held."""
    prepared: list[Prepared] = []
    results: list[InferenceResult | None] = [None] * table.num_rows
    waiting: list[int] = []
    indices = table["image_index"].to_pylist()
    rows = preparer.ahead(manifest_rows(table))
    for position, (index, row) in enumerate(zip(indices, rows, strict=True)):
        one = _prepare_one(index, row, preparer, poisoned, notice)
        prepared.append(one)
        if one.item is not None:
            waiting.append(position)
        last = position == table.num_rows - 1
        if waiting and (len(waiting) == batch_size or last):
            notice(",".join(str(indices[p]) for p in waiting))
            _infer_batch(waiting, prepared, results, infer)
            waiting = []
    return prepared, results


def _infer_batch(
    positions: Sequence[int],
    prepared: Sequence[Prepared],
    results: list[InferenceResult | None],
    infer: Infer,
) -> None:
    items = [item for p in positions if (item := prepared[p].item) is not None]
    answers = infer(items, [prepared[p].target for p in positions])
    for position, answer in zip(positions, answers, strict=True):
        results[position] = answer
        item = prepared[position].item
        # Pixels are of no more use; width, height and warnings still go into the row.
        if item is not None and item.array.size:
            prepared[position].item = Preprocessed(
                item.array[:0], item.width, item.height, item.geometry, item.extra
            )


def infer_prepared(
    prepared: Sequence[Prepared], infer: Infer, batch_size: int
) -> list[InferenceResult | None]:
    """Infer a unit that is prepared already, in the batches that ``score_streaming`` makes."""
    results: list[InferenceResult | None] = [None] * len(prepared)
    good = [position for position, one in enumerate(prepared) if one.item is not None]
    for start in range(0, len(good), batch_size):
        _infer_batch(good[start : start + batch_size], prepared, results, infer)
    return results


def unit_table(
    spec: ScoringSpec,
    manifest: pa.Table,
    prepared: Sequence[Prepared],
    results: Sequence[InferenceResult | None],
) -> pa.Table:
    """The result rows of a unit; their pictures are written, where any are wanted."""
    table = result_table(
        manifest, prepared, results, spec.class_map, spec.info.task_type, spec.operating
    )
    if spec.pictures is None:
        return table
    from snellen.pipelines.execution.worker.visualize import add_pictures

    return add_pictures(spec, spec.pictures, manifest, table)


def write_unit(
    spec: ScoringSpec, unit: Unit, table: pa.Table, worker: str, timings: Mapping[str, float]
) -> UnitOutcome:
    """Write the file of a unit under an attempt-unique name and describe it for the ledger."""
    attempt = uuid.uuid4().hex[:12]
    started = time.perf_counter()
    file, sha256 = write_unit_file(table, spec.results_dir, unit.unit_id, attempt)
    return UnitOutcome(
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


def _counts(table: pa.Table) -> dict[str, float]:
    """Small partial sums for the running metric; the stored metrics come from the files."""
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
