"""Sets of images to search for duplicates: those of a run, of a dataset, or of a folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from snellen.adapters.errors import ConfigError, InputError
from snellen.adapters.runtime.temporary_folder import temporary_folder
from snellen.pipelines.config.dataset import DatasetConfig, ImagesConfig
from snellen.pipelines.data.image_reader import ImageAccess, ImageFile, manifest_rows, read_image
from snellen.pipelines.data.manifest import write_manifest
from snellen.pipelines.data.manifest_reader import MANIFEST_NAME, ManifestReader
from snellen.pipelines.data.sources.base import Source
from snellen.pipelines.data.sources.registry import open_source
from snellen.pipelines.data.sources.unlabelled import open_images
from snellen.pipelines.storage.address import frozen_options
from snellen.pipelines.storage.remote_path import place_of

_ROWS = 1024
_LABELS = (".yaml", ".yml", ".json")
"""Suffixes of files that are labelled datasets only."""


@dataclass(frozen=True, slots=True)
class SetImage:
    """An image of a set.

    Attributes:
        image_id: its id in the set.
        label: its class, if it has one.
        file: its place.
        access: how it is read.
    """

    image_id: str
    label: str | None
    file: ImageFile
    access: ImageAccess

    def read(self) -> bytes:
        """Read its bytes. Raises ImageError."""
        return read_image(self.file, self.access)


def dataset_images(path: str, split: str = "auto") -> list[SetImage]:
    """List the images of a dataset, as ``snellen eval`` finds them, or of a folder of images.

    Args:
        path: a labelled dataset, or else a folder of images at any depth, a list or shards.
        split: of a dataset with splits.

    Raises:
        ConfigError, InputError: it is neither.
    """
    try:
        config = DatasetConfig(path=path, split=split)
        return _listed(open_source(config), config)
    except (ConfigError, InputError):
        if Path(path).suffix.lower() in _LABELS:
            raise  # it is no list of images, whose error would hide this one
        return folder_images(path)


def folder_images(path: str) -> list[SetImage]:
    """List the images of a folder at any depth, of a list, or of shards."""
    config = ImagesConfig(path=path)
    return _listed(open_images(config), config)


def training_images(path: str) -> list[SetImage]:
    """List the images that a model may have seen: all of a folder, or a dataset's train split."""
    if Path(path).is_dir():
        return folder_images(path)
    return dataset_images(path, "train")


def _listed(source: Source, config: DatasetConfig | ImagesConfig) -> list[SetImage]:
    info = source.describe()
    access = ImageAccess.of(
        config, place_of(str(info.root), frozen_options(config.storage_options))
    )
    found = []
    with temporary_folder("hygiene") as folder:
        manifest = folder / MANIFEST_NAME
        write_manifest(source, info, manifest)
        reader = ManifestReader(manifest)
        for start in range(0, reader.rows, _ROWS):
            table = reader.read(start, min(start + _ROWS, reader.rows))
            ids = table["image_id"].to_pylist()
            for image_id, row in zip(ids, manifest_rows(table), strict=True):
                found.append(SetImage(image_id, row.get("label"), ImageFile.of(row), access))
    return found
