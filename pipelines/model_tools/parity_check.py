"""The comparison of two loaded models, batch by batch."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from snellen.adapters.finite import finite_or_none
from snellen.adapters.types import ImageStatus, InferenceResult
from snellen.metrics.parity.compare import compare_image
from snellen.metrics.parity.differences import Tolerance
from snellen.metrics.parity.summary import ParitySummary
from snellen.pipelines.config.dataset import DatasetConfig
from snellen.pipelines.data.image_reader import ImageAccess
from snellen.pipelines.data.manifest_reader import ManifestReader
from snellen.pipelines.data.sources.base import DatasetInfo
from snellen.pipelines.execution.worker.preprocess import ImagePreparer, UnitImage
from snellen.pipelines.execution.worker.spec import ScoringSpec
from snellen.pipelines.execution.worker.unit_steps import infer_images
from snellen.pipelines.model_tools.parity_metrics import Measured, labelled
from snellen.pipelines.models.load import ResolvedModel
from snellen.pipelines.progress import Reporter

if TYPE_CHECKING:
    from snellen.adapters.base import Adapter

EQUIVALENT, DIFFERENT = "equivalent", "different"
_REASONS = {
    "status": "one model predicts and the other fails",
    "top1": "the predicted class differs",
    "confidence": "a confidence differs by more than {confidence:g}",
    "count": "a detection has no counterpart",
    "box": "a box differs by more than {pixels:g} px",
    "keypoints": "a keypoint differs by more than {pixels:g} px",
    "mask": "the IoU of two masks is less than {mask_iou:g}",
}


@dataclass(frozen=True, slots=True)
class ParitySettings:
    """The settings of a comparison.

    Attributes:
        dataset: the ``dataset`` section of a configuration, at least ``path``.
        tolerance: the maximum differences between equivalent models.
        batch_size: number of images that are held and inferred together.
        device: ``cpu`` or ``cuda``. On CUDA convolutions are rounded to TF32 unless torch is
            configured otherwise, which differs by more than 1e-4.
        worst: number of images that the document lists.
        output: a file for one JSON line per image; None writes none.
        overwrite: replace an existing ``output``.
        trust: load TorchScript files, although they are code.
    """

    dataset: dict[str, Any]
    tolerance: Tolerance = field(default_factory=Tolerance)
    batch_size: int = 16
    device: str = "cpu"
    worst: int = 10
    output: str | Path | None = None
    overwrite: bool = False
    trust: bool = False


@dataclass(frozen=True, slots=True)
class ComparedImages:
    """The images that two models are compared on.

    Attributes:
        info: description of the dataset.
        config: its configuration.
        manifest: path of its manifest.
        total: number of images.
    """

    info: DatasetInfo
    config: DatasetConfig
    manifest: Path
    total: int


class Comparison:
    """Two models, the images, and the differences found so far."""

    def __init__(
        self,
        models: tuple[ResolvedModel, ResolvedModel],
        images: ComparedImages,
        settings: ParitySettings,
        told: Reporter,
    ) -> None:
        a, b = models
        assert a.adapter is not None and b.adapter is not None
        self._adapters: tuple[Adapter, Adapter] = (a.adapter, b.adapter)
        self._images, self._settings, self._told = images, settings, told
        self._reader = ManifestReader(images.manifest)
        self._summary = ParitySummary(settings.worst)
        self._names = (a.info.class_names, b.info.class_names)
        self._metrics: tuple[Measured, Measured] | None = labelled(a, b, images.info, told)
        spec = ScoringSpec(
            adapter=a.spec,
            info=a.info,
            class_map=self._metrics[0].class_map if self._metrics else None,
            results_dir=images.manifest.parent,
            manifest=images.manifest,
            access=ImageAccess.of(images.config, images.info.root),
            batch_size=settings.batch_size,
            device=settings.device,
            classes=images.info.classes or (),
        )
        self._preparer = ImagePreparer(spec, *self._adapters, reads_images=True)

    def run(self, stream: IO[str] | None) -> dict[str, Any]:
        """Compare every image and conclude; ``stream`` gets one JSON line per image."""
        total, size = self._images.total, self._settings.batch_size
        self._told.begin(total, 0)
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
        manifest = self._reader.read(start, stop)
        each = [self._preparer.prepare_each(row) for row in self._preparer.rows(manifest)]
        sides: list[list[UnitImage]] = [[pair[side] for pair in each] for side in (0, 1)]
        for adapter, images in zip(self._adapters, sides, strict=True):
            infer_images(images, adapter, self._settings.batch_size)
        for image_id, (a, b) in zip(manifest["image_id"].to_pylist(), each, strict=True):
            self._compare(image_id, a.result, b.result, stream)
        if self._metrics is not None:
            for measured, images in zip(self._metrics, sides, strict=True):
                measured.add(manifest, images)
        summary = self._summary
        self._told.advance(stop - start, summary.failed, ("different", float(summary.different)))

    def _compare(
        self,
        image_id: str,
        a: InferenceResult | None,
        b: InferenceResult | None,
        stream: IO[str] | None,
    ) -> None:
        if a is None or b is None:  # the image cannot be read or prepared
            failed = _failed(self._adapters[0])
            a, b = a or failed, b or failed
        found = compare_image(a, b, self._settings.tolerance)
        statuses = {a.status, b.status}
        self._summary.add(image_id, found, failed=statuses == {ImageStatus.FAILED})
        if stream is not None:
            line = {"image_id": image_id, "status": "/".join(sorted(statuses)), **found.to_json()}
            stream.write(json.dumps(_without_infinity(line)) + "\n")

    def _reasons(self) -> Iterator[str]:
        tolerance, summary = self._settings.tolerance, self._summary
        limits = asdict(tolerance)
        for reason, count in summary.reasons.items():
            yield f"{count} of {summary.compared} images: {_REASONS[reason].format(**limits)}"
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


def _without_infinity(line: dict[str, Any]) -> dict[str, Any]:
    return {
        key: finite_or_none(value) if isinstance(value, float) else value
        for key, value in line.items()
    }
