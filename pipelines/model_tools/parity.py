"""Run two models over the same images and decide if their predictions are equivalent.

Images are read and decoded once, in batches, and each model preprocesses them in its own way;
memory holds one batch and the counts. On a labelled dataset the metrics of each model are
computed, too.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

from snellen.adapters.errors import ConfigError, InputError
from snellen.adapters.runtime.temporary_folder import temporary_folder
from snellen.pipelines.config.dataset import DatasetConfig
from snellen.pipelines.config.loader import build_as
from snellen.pipelines.data.manifest import write_manifest
from snellen.pipelines.data.manifest_reader import MANIFEST_NAME
from snellen.pipelines.data.sources.registry import open_source
from snellen.pipelines.model_tools.parity_check import ComparedImages, Comparison, ParitySettings
from snellen.pipelines.models.load import ResolvedModel, load_model
from snellen.pipelines.models.locate import locate_model
from snellen.pipelines.models.reference import resolve_reference
from snellen.pipelines.progress import Reporter
from snellen.store.atomic_file import atomic_file, output_errors
from snellen.store.sql.database import Database


def compare_models(
    first: str,
    second: str,
    settings: ParitySettings,
    *,
    database: str | None = None,
    reporter: Reporter | None = None,
) -> dict[str, Any]:
    """Compare two models on the images of a dataset.

    Args:
        first, second: A and B; see `snellen.pipelines.models.reference.resolve_reference`.
        settings: the dataset, the tolerances and the output.
        database: URL of the run tables, where training jobs are looked up.
        reporter: is told about progress.

    Returns:
        JSON-serialisable: ``verdict`` (``equivalent`` or ``different``), ``reasons`` (for
        people), ``tolerance``, ``a``, ``b``, ``dataset``, the totals of
        `snellen.metrics.parity.summary.ParitySummary.to_json`, and ``metrics`` (None without
        labels).

    Raises:
        ConfigError, InputError: a model or the dataset cannot be used, or PARITY_TASKS.
        RunError: a model failed on every image of a batch.
    """
    told = reporter or Reporter()
    with ExitStack() as stack:
        db = Database.open(database)
        stack.callback(db.close)
        first_model, second_model = (_load(name, settings, db, told) for name in (first, second))
        _check_comparable(first_model, second_model)
        source = open_source(_dataset(settings))
        info = source.describe()
        told.status(f"Listing the images of {source.config.path}")
        folder = stack.enter_context(temporary_folder("parity"))
        manifest = folder / MANIFEST_NAME
        total = write_manifest(source, info, manifest).rows
        stream = stack.enter_context(_opened(settings))
        images = ComparedImages(info, source.config, manifest, total)
        document = Comparison((first_model, second_model), images, settings, told).run(stream)
    return {
        **document,
        "a": _described(first, first_model),
        "b": _described(second, second_model),
        "dataset": {"path": source.config.path, "images": total},
        "tolerance": asdict(settings.tolerance),
    }


def _dataset(settings: ParitySettings) -> DatasetConfig:
    given = {key: value for key, value in settings.dataset.items() if value is not None}
    return build_as(DatasetConfig, given, where="dataset")


def _load(reference: str, settings: ParitySettings, db: Database, told: Reporter) -> ResolvedModel:
    located = locate_model(resolve_reference(reference).request, db)
    if settings.trust:
        located = located.trusted()
    told.status(f"Loading {located.spec.checkpoint or reference}")
    return load_model(located, settings.device)


def _check_comparable(a: ResolvedModel, b: ResolvedModel) -> None:
    if a.info.task_type is not b.info.task_type:
        raise ConfigError(
            "PARITY_TASKS",
            f"A is a model for {a.info.task_type} and B for {b.info.task_type}. Expected two "
            "models for the same task.",
        )
    if a.info.num_classes != b.info.num_classes:
        raise ConfigError(
            "PARITY_TASKS",
            f"A has {a.info.num_classes} classes and B {b.info.num_classes}. Expected two models "
            "of the same classes.",
        )


@contextmanager
def _opened(settings: ParitySettings) -> Iterator[IO[str] | None]:
    """Open the output file; it appears complete or not at all."""
    if settings.output is None:
        yield None
        return
    target = Path(settings.output).expanduser()
    if target.exists() and not settings.overwrite:
        raise InputError(
            "OUTPUT_TAKEN", f"'{target}' exists. Expected a new file. Remove it or add --overwrite."
        )
    with (
        output_errors(target, InputError),
        atomic_file(target) as partial,
        partial.open("w", encoding="utf-8") as stream,
    ):
        yield stream


def _described(reference: str, model: ResolvedModel) -> dict[str, Any]:
    info = model.info
    return {
        "model": reference,
        "adapter": info.framework,
        "architecture": info.architecture,
        "checkpoint": info.checkpoint_path,
        "sha256": info.checkpoint_sha256,
        "versions": info.versions,
    }
