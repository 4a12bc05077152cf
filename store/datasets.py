"""Registered datasets: names for the section ``dataset`` of a configuration."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import delete, insert, select
from sqlalchemy.exc import IntegrityError

from snellen.adapters.errors import InputError
from snellen.store.sql.database import Database
from snellen.store.sql.names import Dataset
from snellen.store.views import DatasetView

_DATASETS: Any = Dataset.__table__


def add_dataset(db: Database, name: str, config: Mapping[str, Any]) -> DatasetView:
    """Register a dataset.

    Args:
        db: the open database.
        name: a name that no dataset has; no path.
        config: the keys of the section ``dataset`` that are set, with absolute paths.

    Raises:
        InputError: DATASET_NAME, a name that could be a path; DATASET_NAME_TAKEN.
    """
    if not name.strip() or any(mark in name for mark in "/\\:*?") or name in {".", ".."}:
        raise InputError(
            "DATASET_NAME", f"{name!r} looks like a path. Expected a name such as street-val."
        )
    try:
        with db.session() as session:
            session.execute(insert(_DATASETS).values(name=name, config=dict(config)))
    except IntegrityError:
        raise InputError(
            "DATASET_NAME_TAKEN",
            f"a dataset is named {name!r} already. Expected a new name. Remove that one first: "
            f"snellen dataset remove {name}",
        ) from None
    return get_dataset(db, name)


def find_dataset(db: Database, name: str) -> DatasetView | None:
    """Return the dataset of a name, or None."""
    query = select(_DATASETS).where(_DATASETS.c.name == name)
    row = db.query(lambda session: session.execute(query).mappings().first())
    return None if row is None else DatasetView.of(row)


def get_dataset(db: Database, name: str) -> DatasetView:
    """Return the dataset of a name.

    Raises:
        InputError: DATASET_NOT_REGISTERED, with the names that exist.
    """
    found = find_dataset(db, name)
    if found is None:
        names = [one.name for one in list_datasets(db)]
        raise InputError(
            "DATASET_NOT_REGISTERED",
            f"there is no dataset {name!r}. Expected one of "
            f"{', '.join(names) or 'the registered ones, but there are none'}.",
        )
    return found


def list_datasets(db: Database) -> list[DatasetView]:
    """Return all datasets in the order of their names."""
    query = select(_DATASETS).order_by(_DATASETS.c.name)
    rows = db.query(lambda session: session.execute(query).mappings().all())
    return [DatasetView.of(row) for row in rows]


def remove_dataset(db: Database, name: str) -> DatasetView:
    """Remove the name of a dataset; its files and its runs stay.

    Raises:
        InputError: DATASET_NOT_REGISTERED.
    """
    found = get_dataset(db, name)
    with db.session() as session:
        session.execute(delete(_DATASETS).where(_DATASETS.c.id == found.id))
    return found
