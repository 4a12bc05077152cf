"""The dataset formats by name, and the choice of ``format: auto``.

To add one, add a line here, or an entry point in your package:

[project.entry-points."snellen.sources"]
mine = "my_package.my_module:MySource"
"""

from __future__ import annotations

from pathlib import Path

from snellen.adapters.errors import ConfigError, InputError
from snellen.adapters.plugins import PluginCodes, Registry
from snellen.pipelines.config.base import Section
from snellen.pipelines.config.dataset import DatasetConfig
from snellen.pipelines.data.sources.base import COMMON_KEYS, Source
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
        ConfigError: DATASET_FORMAT, an unknown format; DATASET_KEY, see `check_keys`.
        InputError: the path does not exist, is an address of no storage, or no format
            recognises it.
    """
    name, source_class = source_class_of(config)
    check_keys(config, name, source_class)
    return source_class(config)


def source_class_of(config: DatasetConfig) -> tuple[str, type[Source]]:
    """Return the name and the class of the format of a dataset.

    Raises:
        ConfigError, InputError: see `open_source`.
    """
    place = existing_place(config)
    if config.format != "auto":
        return config.format, load_source_class(config.format)
    for name, source_class in SOURCES:
        if source_class.recognises(place):
            return name, source_class
    raise InputError(
        "DATASET_FORMAT",
        f"dataset.path: the format of '{place}' is not recognised. Expected a folder of class "
        "folders, a .parquet or .csv manifest, a YOLO data.yaml, COCO JSON (a .json file, or a "
        "folder with annotations/instances_SPLIT.json), .tar shards or a .txt list of images. Set "
        f"dataset.format to one of {', '.join(sorted(SOURCES.targets()))}; COCO with other names "
        "takes dataset.format=coco dataset.annotations=FILE.json.",
    )


def check_keys(config: DatasetConfig, name: str, source_class: type[Source]) -> None:
    """Reject keys that a format does not use.

    Args:
        config: the section ``dataset``. Keys with their default value count as not set, as a
            stored configuration has every key.
        name: name of the format.
        source_class: its class.

    Raises:
        ConfigError: DATASET_KEY, naming the key, the format, and the keys that it uses.
    """
    keys = source_class.keys_for(config)
    if keys is None:
        return
    for key, field in type(config).model_fields.items():
        value = getattr(config, key)
        default = field.get_default(call_default_factory=True)
        # split: null is as good as no split
        if key in COMMON_KEYS | keys or value in (default, None):
            continue
        known = ", ".join([*sorted(keys), *sorted(COMMON_KEYS)])
        shown = value.model_dump() if isinstance(value, Section) else value
        raise ConfigError(
            "DATASET_KEY",
            f"dataset.{key}: {shown!r} has no effect on '{config.path}' (format {name}). Expected "
            f"only the keys {known}. Remove dataset.{key}, or set another dataset.format.",
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
