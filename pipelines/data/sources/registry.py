"""The data set formats by name, and how ``format: auto`` chooses one."""

from __future__ import annotations

import difflib
from importlib import import_module
from pathlib import Path

from snellen.adapters.errors import ConfigError, InputError
from snellen.pipelines.config.dataset import DatasetConfig
from snellen.pipelines.data.sources.base import Source
from snellen.pipelines.storage.address import frozen_options
from snellen.pipelines.storage.remote_path import RemotePath, place_of

SOURCES = {
    "manifest": "snellen.pipelines.data.sources.manifest_file:ManifestSource",
    "image_list": "snellen.pipelines.data.sources.image_list:ImageListSource",
    "coco": "snellen.pipelines.data.sources.coco:CocoSource",
    "yolo": "snellen.pipelines.data.sources.yolo:YoloSource",
    "webdataset": "snellen.pipelines.data.sources.webdataset:WebDatasetSource",
    "imagefolder": "snellen.pipelines.data.sources.imagefolder:ImageFolderSource",
    "images": "snellen.pipelines.data.sources.images:ImagesSource",
}


def load_source_class(name: str) -> type[Source]:
    """The class of a format; ``module:Class`` of an installed package is accepted too.

    Raises:
        ConfigError: unknown name, with the choices and the nearest one.
    """
    target = SOURCES.get(name, name if ":" in name else "")
    if not target:
        close = difflib.get_close_matches(name, SOURCES, n=1)
        hint = f" Did you mean '{close[0]}'?" if close else ""
        raise ConfigError(
            "DATASET_FORMAT",
            f"dataset.format: '{name}' is not a known format; choose one of "
            f"{', '.join(sorted(SOURCES))}.{hint}",
        )
    module, _, attribute = target.partition(":")
    source: type[Source] = getattr(import_module(module), attribute)
    return source


def open_source(config: DatasetConfig) -> Source:
    """Open the data set that a configuration names.

    Raises:
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
    for name in SOURCES:
        if name == "images":
            continue  # without labels, so only where somebody asks for it
        source_class = load_source_class(name)
        if source_class.recognises(path):
            return source_class(config)
    raise InputError(
        "DATASET_FORMAT",
        f"dataset.path: '{path}' is neither a folder of class folders, a .parquet or .csv "
        "manifest, a YOLO data.yaml, .tar shards, nor a .txt list of images. Set dataset.format.",
    )
