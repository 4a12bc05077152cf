"""The registry of exporters: Snellen's own, and those of installed packages."""

from __future__ import annotations

from snellen.adapters.plugins import PluginCodes, Registry
from snellen.analysis.export.exporter import Exporter


def _checked(loaded: object) -> Exporter:
    if not isinstance(loaded, type):
        raise TypeError("it is not a class")
    exporter = loaded()
    if not isinstance(exporter, Exporter):
        raise TypeError("it lacks one of name, suffix, tasks, write")
    return exporter


EXPORTERS: Registry[Exporter] = Registry(
    kind="exporters",
    what="export format",
    builtin={
        "parquet": "snellen.analysis.export.columnar:ParquetExporter",
        "csv": "snellen.analysis.export.columnar:CsvExporter",
        "ndjson": "snellen.analysis.export.json_rows:NdjsonExporter",
        "json": "snellen.analysis.export.json_rows:JsonExporter",
        "coco": "snellen.analysis.export.coco:CocoExporter",
        "yolo": "snellen.analysis.export.yolo:YoloExporter",
        "label-studio": "snellen.analysis.export.label_studio:LabelStudioExporter",
        "cvat": "snellen.analysis.export.cvat:CvatExporter",
        "model-index": "snellen.analysis.export.model_index:ModelIndexExporter",
        "mlflow": "snellen.analysis.export.trackers.mlflow:MlflowExporter",
        "wandb": "snellen.analysis.export.trackers.wandb:WandbExporter",
        "manifest": "snellen.analysis.export.manifest_rows:ManifestExporter",
        "zip": "snellen.analysis.export.archive:ZipExporter",
    },
    codes=PluginCodes(
        unknown="EXPORT_FORMAT",
        invalid="EXPORTER_INVALID",
        missing_library="EXPORTER_MISSING_LIBRARY",
    ),
    check=_checked,
)
