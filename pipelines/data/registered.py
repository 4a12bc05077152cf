"""Registered datasets: a name in the place of ``dataset.path``."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

from snellen.adapters.errors import InputError
from snellen.pipelines.config.loader import build_as
from snellen.pipelines.config.sections import CommonConfig
from snellen.store.datasets import find_dataset
from snellen.store.sql.database import Database

Config = TypeVar("Config", bound=CommonConfig)


def with_registered_dataset(config: Config) -> Config:
    """Return the configuration with the keys of a registered dataset that it names.

    A path that exists is a path. Keys that the configuration sets itself win over those of the
    registration. Run tables that do not exist are not created.

    Raises:
        ConfigError: the registered keys do not fit this kind of configuration.
        InputError: the run tables cannot be opened.
    """
    dataset: Any = config.dataset
    name = dataset.path
    if not isinstance(name, str) or not name or "/" in name or Path(name).expanduser().exists():
        return config
    try:
        db = Database.open(config.database, create=False)
    except InputError as error:
        if error.code == "DATABASE_NOT_FOUND":
            return config
        raise
    try:
        found = find_dataset(db, name)
    finally:
        db.close()
    if found is None:
        return config
    kind = type(dataset)
    registered = {key: value for key, value in found.config.items() if key in kind.model_fields}
    given = dataset.model_dump(mode="json", exclude_unset=True)
    given.pop("path", None)
    section = build_as(kind, {**registered, **given}, where=f"dataset {name}")
    return config.model_copy(update={"dataset": section})
