"""From a row of the manifest to a preprocessed image, or to the reason why there is none."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from snellen.adapters.errors import ErrorCode, ErrorStage, ImageError
from snellen.adapters.types import DecodedImage, Preprocessed
from snellen.pipelines.data.image_reader import read_image
from snellen.pipelines.data.sources.file_listing import unescape_id
from snellen.pipelines.execution.worker.spec import ScoringSpec
from snellen.pipelines.storage.address import Options, is_remote
from snellen.pipelines.storage.remote_path import Place
from snellen.pipelines.tasks.record import LABEL_COLUMNS, GroundTruth
from snellen.pipelines.tasks.registry import task_of

if TYPE_CHECKING:
    from snellen.adapters.base import Preprocessor


@dataclass(slots=True)
class Prepared:
    """One image on its way: ``item`` or ``error`` is set, never both.

    ``milliseconds`` is read + decode + preprocess; of a remote image, what was left to wait for.
    """

    truth: GroundTruth = field(default_factory=GroundTruth)
    item: Preprocessed | None = None
    error: ImageError | None = None
    milliseconds: float = 0.0

    @property
    def target(self) -> int | None:
        """The checkpoint's class id of a classified image."""
        return self.truth.class_id


AHEAD = 16
"""Remote images of a unit that are read at a time: an answer takes longer than its decoding."""
_READING = "reading"
_NO_PIXELS = Preprocessed(array=np.empty(0, np.uint8), width=0, height=0)


class ImagePreparer:
    """Prepares images of a unit one by one. Holds no state between images."""

    def __init__(
        self, spec: ScoringSpec, preprocessor: Preprocessor, *, reads_images: bool
    ) -> None:
        self._spec = spec
        self._task = task_of(spec.info.task_type)
        self._preprocessor = preprocessor
        self._reads_images = reads_images

    def prepare(self, row: Mapping[str, Any]) -> Prepared:
        """Label, read, decode and preprocess one manifest row; errors become data."""
        prepared = Prepared()
        started = time.perf_counter()
        stage = ErrorStage.LABEL
        try:
            if self._spec.class_map is not None:
                prepared.truth = self._task.ground_truth(
                    row, self._spec.class_map, self._spec.classes
                )
            if not self._reads_images:
                prepared.item = _NO_PIXELS
                return prepared
            stage = ErrorStage.READ
            reading: Future[bytes] | None = row.get(_READING)
            data = self._read(row) if reading is None else reading.result()
            stage = ErrorStage.DECODE
            decoded = _decode(data, row["location"])
            stage = ErrorStage.PREPROCESS
            prepared.item = self._preprocessor.preprocess(decoded)
        except ImageError as error:
            prepared.error = error
        except MemoryError:
            prepared.error = ImageError(stage, ErrorCode.PIXEL_LIMIT, "not enough memory")
        except Exception as error:
            # An unforeseen failure of one image must not end a run of millions.
            prepared.error = ImageError(
                stage, ErrorCode.INTERNAL, f"{type(error).__name__}: {error}"
            )
        prepared.milliseconds = (time.perf_counter() - started) * 1000
        return prepared

    def ahead(self, rows: Sequence[dict[str, Any]]) -> Iterator[Mapping[str, Any]]:
        """The rows of a unit in order, while the remote images of the next ones are being read.

        Local files are read when their row is prepared, as they are faster than a thread.
        """
        if not self._reads_images or not any(is_remote(row["location"]) for row in rows):
            yield from rows
            return
        pool = ThreadPoolExecutor(AHEAD, thread_name_prefix="snellen-read")
        try:
            running = deque(pool.submit(self._read, row) for row in rows[:AHEAD])
            for number, row in enumerate(rows):
                # A copy, so that no list of rows keeps the bytes of a whole unit.
                yield {**row, _READING: running.popleft()}
                if number + AHEAD < len(rows):
                    running.append(pool.submit(self._read, rows[number + AHEAD]))
        finally:
            pool.shutdown(wait=False, cancel_futures=True)

    def _read(self, row: Mapping[str, Any]) -> bytes:
        spec = self._spec
        return read_row(row, root=spec.root, follow_links=spec.follow_links, storage=spec.storage)


def read_row(row: Mapping[str, Any], *, root: Place, follow_links: bool, storage: Options) -> bytes:
    """The bytes of the image of a manifest row. Raises ImageError, stage ``read``."""
    return read_image(
        unescape_id(row["location"]),
        size=row["size"],
        mtime_ns=row["mtime_ns"],
        root=root,
        follow_links=follow_links,
        member=_member(row),
        storage=storage,
    )


def _decode(data: bytes, location: str) -> DecodedImage:
    from snellen.adapters.images.decode import decode_image

    return decode_image(data, name=Path(location).name)


def _member(row: Mapping[str, Any]) -> tuple[int, int] | None:
    """Offset and length of an image inside of a tar shard."""
    offset, length = row.get("offset"), row.get("length")
    return None if offset is None or length is None else (offset, length)


def manifest_rows(table: pa.Table) -> list[dict[str, Any]]:
    """The columns that preparing needs, as rows."""
    wanted = ("location", "size", "mtime_ns", "offset", "length", *LABEL_COLUMNS)
    columns = [name for name in wanted if name in table.schema.names]
    rows: list[dict[str, Any]] = table.select(columns).to_pylist()
    return rows
