"""Registration of a dataset under a name."""

from __future__ import annotations

from collections.abc import Sequence

from snellen.adapters.errors import InputError
from snellen.pipelines.config.dataset import DatasetConfig
from snellen.pipelines.config.loader import apply_overrides, build_as, with_absolute_dataset
from snellen.pipelines.data.sources.registry import open_source
from snellen.store.datasets import add_dataset
from snellen.store.sql.database import Database
from snellen.store.views import DatasetView


def register_dataset(db: Database, name: str, path: str, keys: Sequence[str] = ()) -> DatasetView:
    """Register a dataset with the keys of the section ``dataset``.

    The format is recognised and the classes are read, so that a wrong path or key is an error
    now. Images are not listed.

    Args:
        db: the open database.
        name: a name that no dataset has.
        path: folder, file or address.
        keys: ``key=value`` words, such as ``format=coco``.

    Raises:
        ConfigError: an unknown key.
        InputError: DATASET_NAME, DATASET_NAME_TAKEN, or the dataset cannot be read.
    """
    data = apply_overrides({"path": path}, [word.removeprefix("dataset.") for word in keys])
    section = with_absolute_dataset(build_as(DatasetConfig, data, where="dataset"))
    info = open_source(section).describe()
    if info.classes is None and not section.format.endswith(("images", "image_list")):
        raise InputError(
            "DATASET_UNLABELLED",
            f"'{path}' has no labels. Expected a labelled dataset, or format=images for images "
            "to predict.",
        )
    return add_dataset(db, name, section.model_dump(mode="json", exclude_unset=True))
