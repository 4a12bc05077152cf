"""Sources of the images of an inference job; their labels, if any, are not read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from snellen.adapters.errors import ConfigError
from snellen.adapters.plugins import nearest
from snellen.pipelines.config.dataset import DatasetConfig, ImagesConfig
from snellen.pipelines.data.manifest_reader import LABEL_COLUMNS
from snellen.pipelines.data.report import DatasetReport
from snellen.pipelines.data.sources.base import DatasetInfo, Source
from snellen.pipelines.data.sources.images import NamedImagesSource, check_named, has_images
from snellen.pipelines.data.sources.registry import (
    SOURCES,
    check_keys,
    existing_place,
    is_shard_pattern,
    load_source_class,
)
from snellen.pipelines.data.walk import IMAGE_SUFFIXES
from snellen.pipelines.storage.address import frozen_options, is_remote
from snellen.pipelines.storage.remote_path import Place, place_of


class Unlabelled(Source):
    """A dataset without its labels."""

    def __init__(self, inner: Source) -> None:
        super().__init__(inner.config)
        inner.reads_labels = False
        self._inner = inner

    def begin_report(self) -> DatasetReport:
        """Return a new report, which the wrapped format fills."""
        self.report = self._inner.begin_report()
        return self.report

    @classmethod
    def recognises(cls, path: Place) -> bool:
        """Return False: `open_images` wraps a format in it."""
        return False

    def describe(self) -> DatasetInfo:
        """Describe the dataset without classes."""
        return self._inner.describe()

    def batches(self, info: DatasetInfo) -> Iterator[dict[str, Sequence[Any]]]:
        """Yield the batches of the format without the ground truth columns."""
        for batch in self._inner.batches(info):
            dropped = (*LABEL_COLUMNS, "label_id")
            yield {name: values for name, values in batch.items() if name not in dropped}


def open_images(config: ImagesConfig) -> Source:
    """Open the images that a configuration names.

    Raises:
        ConfigError: DATASET_MISSING, none are named; DATASET_FORMAT, an unknown format;
            DATASET_KEY, a key that the format does not use.
        InputError: the path does not exist or is an address of no storage.
    """
    known = [name for name, source in SOURCES if not source.labelled]
    if config.format != "auto" and config.format not in known and ":" not in config.format:
        raise ConfigError(
            "DATASET_FORMAT",
            f"dataset.format: '{config.format}' is no format of images to predict. Expected one "
            f"of auto, {', '.join(sorted(known))}{nearest(config.format, known) or '.'}",
        )
    if isinstance(config.path, tuple):
        return _named(config, config.path)
    dataset = _dataset(config, config.path)
    name = config.format
    if name == "auto":
        place = existing_place(dataset)
        name = "webdataset" if is_shard_pattern(config.path) else _format_of(place)
    source_class = load_source_class(name)
    check_keys(dataset, name, source_class)
    return Unlabelled(source_class(dataset))


def _format_of(path: Place) -> str:
    if isinstance(path, Path) and path.is_dir() and has_images(path):
        return "images"  # even with a stray .tar file among them
    for name, source in SOURCES:
        if not source.labelled and source.recognises(path):
            return name
    return "images"


def _named(config: ImagesConfig, paths: tuple[str, ...]) -> Source:
    if not paths:
        raise ConfigError(
            "DATASET_MISSING",
            "there are no images to predict. Expected a folder or files on the command line, or "
            "dataset.path.",
        )
    if config.format not in ("auto", "images"):
        raise ConfigError(
            "DATASET_FORMAT",
            f"dataset.format: '{config.format}' does not apply to a list of paths. Expected one "
            "path, or no format. Remove dataset.format.",
        )
    dataset = _dataset(config, spoken(config))
    check_keys(dataset, "images", NamedImagesSource)
    return NamedImagesSource(paths, dataset)


def check_images(config: ImagesConfig) -> None:
    """Reject named images that do not exist, before a job starts.

    Raises:
        InputError: DATASET_NOT_FOUND, naming the first ones.
    """
    if isinstance(config.path, tuple):
        options = frozen_options(config.storage_options)
        check_named([place_of(path, options, "dataset.path") for path in config.path])


def input_of(config: ImagesConfig) -> tuple[str, dict[str, Any]]:
    """Return the columns ``inference_type`` and ``input_data`` of a job.

    Returns:
        ``single`` for an image, ``batch`` for several named images, ``dataset`` for a folder, a
        manifest, a list or shards; and the named paths.
    """
    if isinstance(config.path, tuple):
        kind = "single" if len(config.path) == 1 and _is_file(config.path[0]) else "batch"
        return kind, {"paths": list(config.path)}
    named = config.format in ("auto", "images") and _is_file(config.path)
    single = named and _format_of(Path(config.path)) == "images"
    return ("single" if single else "dataset"), {"path": config.path, "format": config.format}


def _is_file(path: str) -> bool:
    return not is_remote(path) and Path(path).expanduser().is_file()


def spoken(config: ImagesConfig) -> str:
    """Return a description of the images, for messages."""
    if isinstance(config.path, str):
        return config.path
    return config.path[0] if len(config.path) == 1 else f"{len(config.path)} named paths"


def short_name(config: ImagesConfig) -> str:
    """Return the name of the image or folder, for the name of a job."""
    if isinstance(config.path, tuple) and len(config.path) > 1:
        return f"{len(config.path)}-images"
    path = Path(spoken(config))
    return path.name if path.suffix.lower() not in IMAGE_SUFFIXES else path.stem


def _dataset(config: ImagesConfig, path: str) -> DatasetConfig:
    return DatasetConfig(
        format=config.format,
        path=path,
        root=config.root,
        columns=config.columns,
        follow_links=config.follow_links,
        limit=config.limit,
        strict=config.strict,
        storage_options=config.storage_options,
    )
