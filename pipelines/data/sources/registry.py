"""The dataset formats by name, and the choice that ``format: auto`` makes.

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
from snellen.pipelines.storage.remote_path import RemotePath, place_of


def _checked(loaded: object) -> type[Source]:
    if not (isinstance(loaded, type) and issubclass(loaded, Source)):
        raise TypeError("it is not a subclass of snellen.pipelines.data.sources.base.Source")
    return loaded


SOURCES: Registry[type[Source]] = Registry(
    kind="sources",
    what="dataset.format",
    builtin={
        "manifest": "snellen.pipelines.data.sources.manifest_file:ManifestSource",
        "image_list": "snellen.pipelines.data.sources.image_list:ImageListSource",
        "coco": "snellen.pipelines.data.sources.coco:CocoSource",
        "yolo": "snellen.pipelines.data.sources.yolo:YoloSource",
        "webdataset": "snellen.pipelines.data.sources.webdataset:WebDatasetSource",
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
    path = place_of(config.path, frozen_options(config.storage_options))
    shards = config.path.endswith(".tar") and any(mark in config.path for mark in "*?[")
    if not shards and not path.exists():
        if isinstance(path, RemotePath):
            raise path.missing()
        raise InputError(
            "DATASET_NOT_FOUND",
            f"dataset.path: '{Path(config.path).expanduser()}' does not exist (looked in "
            f"{Path.cwd()}).",
        )
    if config.format != "auto":
        return load_source_class(config.format)(config)
    for _, source_class in SOURCES:
        if source_class.recognises(path):
            return source_class(config)
    raise InputError(
        "DATASET_FORMAT",
        f"dataset.path: '{path}' is neither a folder of class folders, a .parquet or .csv "
        "manifest, a YOLO data.yaml, .tar shards, nor a .txt list of images. Set dataset.format.",
    )
