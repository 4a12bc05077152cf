"""Export of a checkpoint to another format; the file is kept only if its predictions are equal."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from snellen.adapters.errors import ConfigError, InputError, RunError
from snellen.adapters.exported.writer import FORMATS, write_export
from snellen.adapters.plugins import nearest
from snellen.adapters.registry import load_adapter_class
from snellen.adapters.types import AdapterSpec
from snellen.metrics.parity.compare import compare_image
from snellen.metrics.parity.differences import ImageDifference, Tolerance
from snellen.pipelines.models.locate import LocatedModel, locate_model
from snellen.pipelines.models.reference import resolve_reference
from snellen.pipelines.models.training_jobs import describe_job, register_checkpoint
from snellen.pipelines.progress import Reporter
from snellen.store.atomic_file import atomic_file, output_errors
from snellen.store.sql.database import Database

if TYPE_CHECKING:
    from snellen.adapters.base import Adapter

_SIZES = ((320, 240), (97, 211), (640, 480), (64, 64), (401, 100), (224, 224))
"""Width and height of the test images of an export."""
_BATCHES = (1, 3)
_COMPARED_FROM = 0.01


@dataclass(frozen=True, slots=True)
class ExportSettings:
    """The settings of an export.

    Attributes:
        file_format: ``onnx`` or ``torchscript``.
        checkpoint: best, last or an epoch of a job.
        output: the file; None writes it beside the checkpoint.
        imgsz: side of the square input in pixels; None keeps the checkpoint's.
        nms: False exports the end-to-end head of a YOLO model that has two heads.
        overwrite: replace an existing file.
    """

    file_format: str
    checkpoint: str | None = None
    output: str | Path | None = None
    imgsz: int | None = None
    nms: bool | None = None
    overwrite: bool = False


def export_model(
    reference: str,
    settings: ExportSettings,
    *,
    database: str | None = None,
    reporter: Reporter | None = None,
) -> dict[str, Any]:
    """Export, check and register a model.

    Args:
        reference: see `snellen.pipelines.models.reference.resolve_reference`.
        settings: format, file and options of the model.
        database: URL of the run tables.
        reporter: is told about progress.

    Returns:
        JSON-serialisable: ``path, format, bytes, sha256, source, check, job``.

    Raises:
        ConfigError: FORMAT_UNKNOWN, OPTION_INVALID, EXPORT_UNSUPPORTED.
        InputError: no such job or checkpoint, OUTPUT_TAKEN, EXPORT_FAILED, or the code of
            `snellen.store.atomic_file.output_error_code`.
        RunError: EXPORT_DIFFERS; no file is kept.
    """
    told = reporter or Reporter()
    suffix = _suffix(settings.file_format)
    named = resolve_reference(reference, checkpoint=settings.checkpoint)
    db = Database.open(database or named.database)
    try:
        located = locate_model(named.request, db)
        spec = _with_settings(located.spec, settings)
        target = _target(spec, settings, suffix)
        told.status(f"Loading {spec.checkpoint}")
        adapter = load_adapter_class(spec.adapter).from_spec(spec, device="cpu")
        check = _write(adapter, target, settings.file_format, told)
        loaded = load_adapter_class(settings.file_format).from_spec(
            _exported_spec(spec, settings.file_format, target), device="cpu"
        )
        info, source = loaded.info, adapter.info
        made_of = {"checkpoint": source.checkpoint_path, "sha256": source.checkpoint_sha256}
        if located.job is not None:
            made_of["job"] = located.job.name
        name = f"{_name(located)}-{settings.file_format}"
        job = register_checkpoint(db, info, info.class_names, name=name, made_of=made_of)
        return {
            "path": str(target),
            "format": settings.file_format,
            "bytes": target.stat().st_size,
            "sha256": info.checkpoint_sha256,
            "source": made_of,
            "check": check,
            "job": describe_job(job),
        }
    finally:
        db.close()


def _suffix(file_format: str) -> str:
    if file_format not in FORMATS:
        raise ConfigError(
            "FORMAT_UNKNOWN",
            f"--format {file_format} is unknown. Expected one of {', '.join(FORMATS)}"
            f"{nearest(file_format, FORMATS) or '.'}",
        )
    suffix = load_adapter_class(file_format).export_suffix
    assert suffix is not None
    return suffix


def _with_settings(spec: AdapterSpec, settings: ExportSettings) -> AdapterSpec:
    adapter = load_adapter_class(spec.adapter)
    if adapter.export_suffix is not None:
        raise ConfigError(
            "EXPORT_UNSUPPORTED",
            f"'{spec.checkpoint}' is an exported model already. Export the checkpoint that it was "
            "made from.",
        )
    if not adapter.exportable:
        raise ConfigError(
            "EXPORT_UNSUPPORTED",
            f"models of the adapter {spec.adapter} cannot be exported. Expected a checkpoint of "
            "timm or Ultralytics.",
        )
    options, preprocess = dict(spec.options), dict(spec.preprocess)
    if settings.nms is not None:
        options["nms"] = settings.nms
    if settings.imgsz is not None and "imgsz" in adapter.options.model_fields:
        options["imgsz"] = settings.imgsz
    elif settings.imgsz is not None:
        preprocess["img_size"] = settings.imgsz
    return replace(spec, options=options, preprocess=preprocess)


def _target(spec: AdapterSpec, settings: ExportSettings, suffix: str) -> Path:
    source = Path(spec.checkpoint or spec.adapter)
    if settings.output is None:
        target = source.with_name(source.name.split(".")[0] + suffix)
    else:
        target = Path(settings.output).expanduser().absolute()
    if target.suffix != suffix:
        raise ConfigError(
            "OUTPUT_INVALID",
            f"--output '{target}' has the wrong suffix. Expected {suffix} for the format "
            f"{settings.file_format}.",
        )
    if target.is_dir() or (target.exists() and not settings.overwrite):
        raise InputError(
            "OUTPUT_TAKEN", f"'{target}' exists. Expected a new file. Remove it or add --overwrite."
        )
    if not target.parent.is_dir():
        raise InputError(
            "OUTPUT_NOT_WRITABLE",
            f"the folder '{target.parent}' does not exist. Expected an existing folder.",
        )
    return target


def _exported_spec(spec: AdapterSpec, file_format: str, file: Path) -> AdapterSpec:
    keys = load_adapter_class(file_format).options.model_fields
    kept = ("nms_iou", "agnostic_nms", "max_detections")
    options = {key: spec.options[key] for key in kept if key in spec.options}
    if "trust" in keys:
        options["trust"] = True  # this process wrote the file
    return AdapterSpec(
        adapter=file_format,
        checkpoint=str(file),
        class_names=spec.class_names,
        min_confidence=spec.min_confidence,
        multi_label=spec.multi_label,
        options=options,
    )


def _name(located: LocatedModel) -> str:
    if located.job is not None:
        return located.job.name
    return Path(located.spec.checkpoint or located.spec.adapter).name.split(".")[0]


def _write(adapter: Adapter, target: Path, file_format: str, told: Reporter) -> dict[str, Any]:
    """Write the file under a temporary name and rename it if it passes the check."""
    exportable = adapter.as_exportable()
    if adapter.info.class_names is None:
        told.note("the checkpoint has no class names, so the file has none")
    with output_errors(target, InputError), atomic_file(target) as partial:
        told.status(f"Exporting to {target.name}")
        write_export(exportable, file_format, partial)
        told.status("Comparing the file with the checkpoint")
        return _checked(adapter, exportable, _exported_spec(adapter.spec, file_format, partial))


def _checked(adapter: Adapter, exportable: Any, spec: AdapterSpec) -> dict[str, Any]:
    from snellen.adapters.exported.verify import outputs_apart

    exported: Any = load_adapter_class(spec.adapter).from_spec(spec, device="cpu")
    pictures = [_picture(width, height, n) for n, (width, height) in enumerate(_SIZES)]
    items = [adapter.preprocess_image(picture) for picture in pictures]
    tolerance = Tolerance(compared_from=_COMPARED_FROM)
    found: list[ImageDifference] = []
    outputs = 0.0
    for size in _BATCHES:
        outputs = max(outputs, outputs_apart(exportable, exported, items[:size]))
        first, second = (one.infer_batch(pictures, size) for one in (adapter, exported))
        found += [compare_image(a, b, tolerance) for a, b in zip(first, second, strict=True)]
    worst = max(found, key=lambda one: one.severity)
    if outputs > 1 or worst.reasons:
        raise RunError(
            "EXPORT_DIFFERS",
            f"the exported {adapter.info.architecture} differs from its checkpoint: its outputs "
            f"reach {outputs:.3g} times the tolerance; differing predictions: "
            f"{', '.join(worst.reasons) or 'none'} ({asdict(worst)}). Expected equal predictions. "
            "No file is kept.",
        )
    return {
        "images": len(found),
        "batch_sizes": list(_BATCHES),
        "confidence": max(one.confidence for one in found),
        "box": max((one.box for one in found if one.box is not None), default=None),
        "detections": sum(one.counts[0] for one in found if one.counts is not None),
        "outputs": outputs,
    }


def _picture(width: int, height: int, seed: int) -> Any:
    """Draw a test image: smooth colours, rectangles, discs and a little noise."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width]
    canvas = np.stack([255 * x / width, 255 * y / height, 127 + 90 * np.sin(x / 9 + seed)], axis=2)
    for number in range(6):
        cx, cy = rng.uniform(0, width), rng.uniform(0, height)
        radius = rng.uniform(0.05, 0.25) * min(width, height)
        inside = (
            (x - cx) ** 2 + (y - cy) ** 2 < radius**2
            if number % 2
            else (abs(x - cx) < radius) & (abs(y - cy) < radius)
        )
        canvas[inside] = rng.uniform(0, 255, 3)
    noisy = canvas + rng.normal(0, 5, canvas.shape)
    return np.clip(noisy, 0, 255).astype(np.uint8)
