"""The comparison of two loaded models, batch by batch."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from snellen.adapters.types import ImageStatus, InferenceResult, Preprocessed
from snellen.metrics.parity.compare import compare_image
from snellen.metrics.parity.differences import Tolerance
from snellen.metrics.parity.summary import ParitySummary
from snellen.pipelines.config.dataset import DatasetConfig
from snellen.pipelines.data.manifest_reader import ManifestReader
from snellen.pipelines.data.sources.base import DatasetInfo
from snellen.pipelines.execution.worker.preprocess import ImagePreparer, Prepared, manifest_rows
from snellen.pipelines.execution.worker.spec import ScoringSpec
from snellen.pipelines.execution.worker.unit_worker import infer_with
from snellen.pipelines.model_tools.parity_metrics import Measured, labelled
from snellen.pipelines.models.load import ResolvedModel
from snellen.pipelines.progress import Reporter
from snellen.pipelines.storage.address import frozen_options

if TYPE_CHECKING:
    from snellen.adapters.base import Adapter, Preprocessor
    from snellen.adapters.types import DecodedImage

EQUIVALENT, DIFFERENT = "equivalent", "different"
_SPOKEN = {
    "status": "one model has an answer and the other fails",
    "top1": "the best class is another one",
    "confidence": "a confidence differs by more than {confidence:g}",
    "count": "a detection has no counterpart",
    "box": "a box differs by more than {pixels:g} px",
    "keypoints": "a keypoint differs by more than {pixels:g} px",
    "mask": "masks overlap by less than {mask_iou:g}",
}


@dataclass(frozen=True, slots=True)
class ParitySettings:
    """What is compared, and how strictly.

    Attributes:
        dataset: the ``dataset`` section of a configuration, at least ``path``.
        tolerance: what equivalent models may differ by.
        batch_size: images that are held and go through each model together.
        device: ``cpu`` or ``cuda``, where convolutions are rounded to TF32 unless torch is told
            otherwise, which differs by more than 1e-4.
        worst: images that the document lists.
        output: a file for one JSON line an image; None writes none.
        overwrite: ``output`` may exist.
        trust: TorchScript files may be loaded, although they are code.
    """

    dataset: dict[str, Any]
    tolerance: Tolerance = field(default_factory=Tolerance)
    batch_size: int = 16
    device: str = "cpu"
    worst: int = 10
    output: str | Path | None = None
    overwrite: bool = False
    trust: bool = False


class _BothPreprocessors:
    """Prepares a decoded image for both models; that of the second is picked up afterwards."""

    def __init__(self, first: Preprocessor, second: Preprocessor) -> None:
        self._first, self._second = first, second
        self.second: Preprocessed | None = None

    def preprocess(self, image: DecodedImage) -> Preprocessed:
        """Return what the first model takes. Raises ImageError where either cannot."""
        self.second = None
        first = self._first.preprocess(image)
        self.second = self._second.preprocess(image)
        return first


class Comparison:
    """Both models, the images, and what was found so far."""

    def __init__(
        self,
        a: ResolvedModel,
        b: ResolvedModel,
        settings: ParitySettings,
        info: DatasetInfo,
        manifest: Path,
        config: DatasetConfig,
        told: Reporter,
    ) -> None:
        assert a.adapter is not None and b.adapter is not None
        self._adapters: tuple[Adapter, Adapter] = (a.adapter, b.adapter)
        self._settings, self._told = settings, told
        self._reader = ManifestReader(manifest)
        self._summary = ParitySummary(settings.worst)
        self._names = (a.info.class_names, b.info.class_names)
        self._metrics: tuple[Measured, Measured] | None = labelled(a, b, info, told)
        self._both = _BothPreprocessors(*self._adapters)
        spec = ScoringSpec(
            adapter=a.spec,
            info=a.info,
            class_map=self._metrics[0].class_map if self._metrics else None,
            results_dir=manifest.parent,
            manifest=manifest,
            root=info.root,
            batch_size=settings.batch_size,
            device=settings.device,
            follow_links=config.follow_links,
            storage=frozen_options(config.storage_options),
            classes=info.classes or (),
        )
        self._preparer = ImagePreparer(spec, self._both, reads_images=True)

    def over(self, total: int, stream: IO[str] | None) -> dict[str, Any]:
        """Compare every image, and conclude."""
        self._told.begin(total, 0)
        size = self._settings.batch_size
        for start in range(0, total, size):
            self._batch(start, min(start + size, total), stream)
        self._told.end()
        reasons = list(self._reasons())
        return {
            "verdict": DIFFERENT if reasons else EQUIVALENT,
            "reasons": reasons,
            **self._summary.to_json(),
            "metrics": self._metric_document(),
        }

    def _batch(self, start: int, stop: int, stream: IO[str] | None) -> None:
        table = self._reader.read(start, stop)
        prepared: tuple[list[Prepared], list[Prepared]] = ([], [])
        for row in self._preparer.ahead(manifest_rows(table)):
            one = self._preparer.prepare(row)
            other = Prepared(one.truth, self._both.second, one.error, one.milliseconds)
            prepared[0].append(one)
            prepared[1].append(other)
        results = tuple(
            self._infer(adapter, side)
            for adapter, side in zip(self._adapters, prepared, strict=True)
        )
        for image_id, a, b in zip(table["image_id"].to_pylist(), *results, strict=True):
            self._compare(image_id, a, b, stream)
        if self._metrics is not None:
            for measured, side, found in zip(self._metrics, prepared, results, strict=True):
                measured.add(table, side, found)
        summary = self._summary
        self._told.advance(stop - start, summary.failed, ("different", float(summary.different)))

    def _infer(self, adapter: Adapter, side: list[Prepared]) -> list[InferenceResult | None]:
        infer = infer_with(adapter, self._settings.batch_size)
        good = [one for one in side if one.error is None and one.item is not None]
        items = [one.item for one in good if one.item is not None]
        answers: Iterator[InferenceResult] = iter(infer(items, [one.target for one in good]))
        return [next(answers) if one.error is None and one.item else None for one in side]

    def _compare(
        self,
        image_id: str,
        a: InferenceResult | None,
        b: InferenceResult | None,
        stream: IO[str] | None,
    ) -> None:
        if a is None or b is None:  # the image cannot be read or prepared, for both alike
            failed = _failed(self._adapters[0])
            a, b = a or failed, b or failed
        found = compare_image(a, b, self._settings.tolerance)
        statuses = {a.status, b.status}
        self._summary.add(image_id, found, failed=statuses == {ImageStatus.FAILED})
        if stream is not None:
            line = {"image_id": image_id, "status": "/".join(sorted(statuses)), **found.to_json()}
            stream.write(json.dumps(_finite(line)) + "\n")

    def _reasons(self) -> Iterator[str]:
        tolerance, summary = self._settings.tolerance, self._summary
        limits = asdict(tolerance)
        for reason, count in summary.reasons.items():
            yield f"{count} of {summary.compared} images: {_SPOKEN[reason].format(**limits)}"
        a, b = self._names
        if a is not None and b is not None and a != b:
            place, one, other = next(
                (i, *pair) for i, pair in enumerate(zip(a, b, strict=True)) if pair[0] != pair[1]
            )
            yield f"the class names differ: class {place} is '{one}' in A and '{other}' in B"
        if not summary.compared:
            yield "no image could be compared"

    def _metric_document(self) -> dict[str, Any] | None:
        if self._metrics is None:
            return None
        a, b = (one.metrics(self._summary.images) for one in self._metrics)
        return {
            key: {"a": a[key], "b": b.get(key), "difference": _difference(a[key], b.get(key))}
            for key in a
        }


def _failed(adapter: Adapter) -> InferenceResult:
    return InferenceResult("", "", adapter.info.task_type, status=ImageStatus.FAILED)


def _difference(a: Any, b: Any) -> float | None:
    return float(b) - float(a) if a is not None and b is not None else None


def _finite(line: dict[str, Any]) -> dict[str, Any]:
    return {k: None if v in (float("inf"), float("-inf")) else v for k, v in line.items()}
