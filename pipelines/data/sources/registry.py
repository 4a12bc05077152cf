"""The dataset formats by name, and the choice of ``format: auto``.

To add one, add a line here, or an entry point in your package:

[project.entry-points."snellen.sources"]
mine = "my_package.my_module:MySource"
"""

from __future__ import annotations

from pathlib import Path

from snellen.adapters.errors import InputError
from snellen.adapters.plugins import PluginCodes, Registry
from snellen.pipelines.config.dataset import DatasetConfig
from snellen.pipelines.data.sources.base import Source
from snellen.pipelines.storage.address import frozen_options
from snellen.pipelines.storage.remote_path import Place, RemotePath, place_of


def _checked(loaded: object) -> type[Source]:
    if not (isinstance(loaded, type) and issubclass(loaded, Source)):
        raise TypeError("it is not a subclass of snellen.pipelines.data.sources.base.Source")
    return loaded


SOURCES: Registry[type[Source]] = Registry(
    kind="sources",
    what="dataset.format",
    builtin={
        "manifest": "snellen.pipelines.data.sources.tables.manifest_file:ManifestSource",
        "image_list": "snellen.pipelines.data.sources.tables.image_list:ImageListSource",
        "coco": "snellen.pipelines.data.sources.coco.coco_source:CocoSource",
        "yolo": "snellen.pipelines.data.sources.yolo.yolo_source:YoloSource",
        "webdataset": "snellen.pipelines.data.sources.shards.webdataset:WebDatasetSource",
        "imagefolder": "snellen.pipelines.data.sources.imagefolder:ImageFolderSource",
        "images": "snellen.pipelines.data.sources.images:ImagesSource",
    },
    codes=PluginCodes(
        unknown="DATASET_FORMAT", invalid="DATASET_FORMAT", missing_library="DATASET_FORMAT"
    ),
    check=_checked,
)
"""Formats in the order in which ``format: auto`` tries them."""


def load_source_class(name: str) -> type[Source]:
    """Import the class of a format by its name or as ``module:Class``.

    Raises:
        ConfigError: DATASET_FORMAT; an unknown name lists the choices and the nearest.
    """
    return SOURCES.load(name)


def open_source(config: DatasetConfig) -> Source:
    """Open the dataset that a configuration names.

    Raises:
        ConfigError: DATASET_FORMAT, an unknown format.
        InputError: the path does not exist, is an address of no storage, or no format
            recognises it.
    """
    place = existing_place(config)
    if config.format != "auto":
        return load_source_class(config.format)(config)
    for _, source_class in SOURCES:
        if source_class.recognises(place):
            return source_class(config)
    raise InputError(
        "DATASET_FORMAT",
        f"dataset.path: the format of '{place}' is not recognised. Expected a folder of class "
        "folders, a .parquet or .csv manifest, a YOLO data.yaml, .tar shards or a .txt list of "
        "images. Set dataset.format.",
    )


def existing_place(config: DatasetConfig) -> Place:
    """Return the place that ``dataset.path`` names; a pattern of shards is not looked up.

    Raises:
        InputError: DATASET_NOT_FOUND, or an address of no storage.
    """
    place = place_of(config.path, frozen_options(config.storage_options))
    if is_shard_pattern(config.path) or place.exists():
        return place
    if isinstance(place, RemotePath):
        raise place.missing()
    raise InputError(
        "DATASET_NOT_FOUND",
        f"dataset.path: '{config.path}' does not exist. Expected a path relative to {Path.cwd()}, "
        "or an absolute one.",
    )


def is_shard_pattern(path: str) -> bool:
    """Return True for a pattern of tar files such as ``shards/*.tar``."""
    return path.lower().endswith((".tar", ".tar.gz", ".tgz")) and any(m in path for m in "*?[")
