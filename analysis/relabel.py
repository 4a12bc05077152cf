"""Corrected labels for a finished run: the same images, another ground truth."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from snellen.adapters.errors import ErrorCode, ImageError, InputError
from snellen.adapters.plugins import nearest
from snellen.pipelines.config.dataset import DatasetConfig
from snellen.pipelines.config.evaluate import EvaluateConfig
from snellen.pipelines.config.loader import apply_overrides, build_as, with_absolute_dataset
from snellen.pipelines.data.class_map import ClassMap, align_classes
from snellen.pipelines.data.manifest import ROW_GROUP, ManifestSummary, write_manifest
from snellen.pipelines.data.manifest_reader import LABEL_COLUMNS, MANIFEST_NAME, ManifestReader
from snellen.pipelines.data.report import PassedOver
from snellen.pipelines.data.sources.base import DatasetInfo
from snellen.pipelines.data.sources.registry import open_source
from snellen.pipelines.execution.worker.label_checks import check_keypoints, check_label_size
from snellen.pipelines.progress import Reporter
from snellen.pipelines.runs.reading.ground_truth import (
    GROUND_TRUTH_NAME,
    GROUND_TRUTH_SCHEMA,
    score_of,
)
from snellen.pipelines.tasks.record import GroundTruth
from snellen.pipelines.tasks.registry import task_of
from snellen.store.atomic_file import atomic_file, output_errors
from snellen.store.parquet.results import Results
from snellen.store.parquet.unit_files import sha256_path
from snellen.store.views import RunView

_STORED = ("image_index", "width", "height", "status", "true_label_id", "top5_predictions")
_LABELS = ("label_id", *LABEL_COLUMNS)
_TABLES = (".csv", ".tsv", ".parquet", ".txt", ".tar")
"""Suffixes of datasets without splits."""
_NOT_LABELLED = frozenset(
    {
        PassedOver.NOT_LISTED,
        PassedOver.NO_LABEL,
        PassedOver.EXCLUDED_CLASS,
        PassedOver.DUPLICATE,
        PassedOver.UNREADABLE,
        PassedOver.UNSUPPORTED_FORMAT,
    }
)
"""Reasons of a dataset report for which an image of the run may have no new labels."""


@dataclass(frozen=True, slots=True)
class Relabelled:
    """The corrected labels of a run, written to its folder.

    Attributes:
        dataset: the section ``dataset`` of the labels.
        class_map: as it is stored with a run.
        report: the dataset report of the labels.
        sha256: of the files, by name.
        missing: number of images of the run that the labels do not have; they are failed rows.
        has_loss: the loss of every image is known with these labels.
    """

    dataset: DatasetConfig
    class_map: dict[str, Any]
    report: dict[str, Any]
    sha256: dict[str, str]
    missing: int
    has_loss: bool


def labels_dataset(
    config: EvaluateConfig, manifest: Path, path: str, words: Sequence[str]
) -> DatasetConfig:
    """Return the dataset section of corrected labels.

    Args:
        config: of the run.
        manifest: of the run.
        path: a COCO JSON file with labels of the run's images; or a dataset.
        words: ``dataset.key=value`` overrides.

    Raises:
        ConfigError: an unknown key.
    """
    before = config.dataset
    suffix = Path(path).suffix.lower()
    data: dict[str, Any] = {
        "path": path,
        "storage_options": before.storage_options,
        "follow_links": before.follow_links,
    }
    if suffix == ".json":
        root = str(ManifestReader(manifest).root)
        data |= {"format": "coco", "path": root, "annotations": path}
    elif suffix not in _TABLES:
        data["split"] = before.split
    data = apply_overrides(data, [word.removeprefix("dataset.") for word in words])
    return with_absolute_dataset(build_as(DatasetConfig, data, where="dataset"))


def write_labels(
    owner: RunView, results: Results, dataset: DatasetConfig, folder: Path, reporter: Reporter
) -> Relabelled:
    """Write the manifest and the ground truth of corrected labels.

    Args:
        owner: the run whose files are read.
        results: its result rows as they are stored.
        dataset: section of the labels.
        folder: of the rescored run.
        reporter: told about progress.

    Raises:
        InputError: RESCORE_IMAGES, images of the run without labels; CLASS_MAP_MISMATCH, classes
            that the run does not have; or the dataset cannot be used.
    """
    source = open_source(dataset)
    task = task_of(owner.task_type)
    source.needs = task.needs
    info = source.describe()
    class_map = _class_map(owner, info, dataset)
    reporter.status(f"Listing labels of {dataset.annotations or dataset.path}")
    listed = folder / "labels.parquet"
    summary = write_manifest(source, info, listed, exclude=class_map.excluded())
    try:
        manifest = results.results_dir / MANIFEST_NAME
        missing = _join(manifest, listed, folder / MANIFEST_NAME, summary)
    finally:
        listed.unlink(missing_ok=True)
    keypoints = (owner.resolved or {}).get("keypoints")
    maker = _Maker(owner, class_map, info.classes or (), keypoints)
    _write(folder / GROUND_TRUTH_NAME, maker.tables(folder / MANIFEST_NAME, results))
    names = (MANIFEST_NAME, GROUND_TRUTH_NAME)
    return Relabelled(
        dataset,
        {**class_map.to_json(), "class_order": info.class_order, **_outputs(owner)},
        summary.report,
        {name: sha256_path(folder / name) for name in names},
        missing,
        maker.has_loss,
    )


def _outputs(owner: RunView) -> dict[str, Any]:
    outputs = (owner.class_map or {}).get("outputs")
    return {"outputs": outputs} if outputs is not None else {}


def _class_map(owner: RunView, info: DatasetInfo, dataset: DatasetConfig) -> ClassMap:
    """Pair the classes of the labels with those of the run by name."""
    names, known = tuple(owner.class_names or ()), (owner.class_map or {}).get("ids") or {}
    if (owner.class_map or {}).get("mode") == "ids":
        return align_classes(info.classes or (), names, "ids", first_label=dataset.first_label)
    positions = {name: number for number, name in enumerate(names)}
    ids: dict[str, int | None] = {}
    for name in info.classes or ():
        if name in known:
            ids[name] = known[name]
        elif name in positions:
            ids[name] = positions[name]
        else:
            raise InputError(
                "CLASS_MAP_MISMATCH",
                f"the labels have the class '{name}', which run {owner.id} does not have"
                f"{nearest(name, [*names, *known]) or '.'} Expected its classes: "
                f"{', '.join(names[:12])}.",
            )
    return ClassMap("subset", names, ids)


def _join(manifest: Path, listed: Path, target: Path, summary: ManifestSummary) -> int:
    """Write the manifest of the run with the new labels; return the number of images without any.

    Images are the same by their ids, or by their places.
    """
    labels = pq.read_table(listed)
    rows = {one: n for n, one in enumerate(labels["image_id"].to_pylist())}
    places = {one: n for n, one in enumerate(labels["location"].to_pylist())}
    reader = ManifestReader(manifest)
    whole = reader.read(0, reader.rows)
    found = [
        rows.get(image_id, places.get(location))
        for image_id, location in zip(
            whole["image_id"].to_pylist(), whole["location"].to_pylist(), strict=True
        )
    ]
    absent = [whole["image_id"][n].as_py() for n, row in enumerate(found) if row is None]
    _check_images(absent, reader.rows, summary)
    chosen = labels.take(pa.array(found, pa.int64()))
    for name in _LABELS:
        position = whole.schema.get_field_index(name)
        whole = whole.set_column(position, whole.schema.field(name), chosen[name])
    if absent:
        whole = _with_errors(whole, found)
    # the classes of the labels, and the root of the images, make it a dataset
    kept = {**(labels.schema.metadata or {}), b"snellen_root": reader.root.encode()}
    with output_errors(target), atomic_file(target) as partial:
        pq.write_table(
            whole.replace_schema_metadata(kept),
            partial,
            compression="zstd",
            row_group_size=ROW_GROUP,
        )
    return len(absent)


def _with_errors(table: pa.Table, found: Sequence[int | None]) -> pa.Table:
    text = f"{ErrorCode.LABEL_MISSING}: the corrected labels do not list the image"
    errors = [
        text if row is None else error
        for row, error in zip(found, table["label_error"].to_pylist(), strict=True)
    ]
    position = table.schema.get_field_index("label_error")
    return table.set_column(position, table.schema.field(position), pa.array(errors, pa.string()))


def _check_images(absent: Sequence[str], total: int, summary: ManifestSummary) -> None:
    """Reject labels that lack images of the run, unless their report counts images without any."""
    passed: Mapping[str, Any] = summary.report["passed_over"]
    counted = sum(passed[reason]["count"] for reason in _NOT_LABELLED if reason in passed)
    if not absent or (len(absent) <= counted and len(absent) < total):
        return
    shown = ", ".join(f"'{name}'" for name in absent[:3])
    raise InputError(
        "RESCORE_IMAGES",
        f"{len(absent):,} of {total:,} images of the run are not in the labels: {shown}. Expected "
        "labels of the same images, with the same ids. Check --annotations, and "
        "dataset.path=FOLDER for the folder that the file names are relative to.",
    )


class _Maker:
    """Maps the labels of a manifest to the classes of the run, image by image."""

    def __init__(
        self, owner: RunView, class_map: ClassMap, classes: tuple[str, ...], keypoints: int | None
    ) -> None:
        self._task = task_of(owner.task_type)
        self._class_map = class_map
        self._classes = classes
        self._keypoints = keypoints
        self.has_loss = True

    def tables(self, manifest: Path, results: Results) -> Iterator[pa.Table]:
        """Yield the ground truth of each unit; the sizes of the images are those of their rows."""
        reader = ManifestReader(manifest)
        for unit in results.iter_units(_STORED):
            stored = unit.to_pylist()
            start, stop = stored[0]["image_index"], stored[-1]["image_index"] + 1
            rows = reader.read(start, stop).to_pylist()
            made = [self._row(row, before) for row, before in zip(rows, stored, strict=True)]
            yield pa.Table.from_pylist(made, schema=GROUND_TRUTH_SCHEMA)

    def _row(self, row: dict[str, Any], before: Mapping[str, Any]) -> dict[str, Any]:
        made: dict[str, Any] = {"image_index": row["image_index"]}
        try:
            truth = self._task.ground_truth(row, self._class_map, self._classes)
            check_keypoints(truth, self._keypoints)
            if before["width"] and before["height"]:
                check_label_size(row, truth, (before["width"], before["height"]))
        except ImageError as error:
            return made | {"label_error": f"{error.code}: {error.message}"}
        if before["status"] == "ok" and truth.class_id != before["true_label_id"]:
            known, _ = score_of(before["top5_predictions"], truth.class_id)
            self.has_loss = self.has_loss and known is not None
        return made | self._columns(truth)

    def _columns(self, truth: GroundTruth) -> dict[str, Any]:
        columns: dict[str, Any] = {}
        if truth.class_id is not None:
            columns["true_label_id"] = truth.class_id
            columns["true_label"] = self._class_map.names[truth.class_id]
        if truth.boxes is not None:
            columns["true_boxes"] = truth.boxes
            columns["true_masks"] = truth.masks
            columns["true_keypoints"] = truth.keypoints
        return columns


def _write(path: Path, tables: Iterator[pa.Table]) -> None:
    with (
        output_errors(path),
        atomic_file(path) as partial,
        pq.ParquetWriter(partial, GROUND_TRUTH_SCHEMA, compression="zstd") as writer,
    ):
        for table in tables:
            writer.write_table(table)
