"""Registered datasets: unique names for the keys of a dataset section."""

from __future__ import annotations

import pytest

from snellen.adapters.errors import InputError
from snellen.store.datasets import (
    add_dataset,
    find_dataset,
    get_dataset,
    list_datasets,
    remove_dataset,
)
from snellen.store.sql.database import Database


def test_a_dataset_is_found_by_its_name(db: Database) -> None:
    added = add_dataset(db, "street", {"path": "/data/street", "format": "coco"})
    assert find_dataset(db, "street") == added
    assert added.config == {"path": "/data/street", "format": "coco"}
    add_dataset(db, "digits", {"path": "/data/digits"})
    assert [one.name for one in list_datasets(db)] == ["digits", "street"]
    assert remove_dataset(db, "street") == added
    assert find_dataset(db, "street") is None


def test_a_taken_name_and_an_unknown_one_are_errors(db: Database) -> None:
    with pytest.raises(InputError, match="but there are none"):
        get_dataset(db, "street")
    add_dataset(db, "street", {"path": "/data/street"})
    with pytest.raises(InputError, match="snellen dataset remove street") as caught:
        add_dataset(db, "street", {"path": "/elsewhere"})
    assert caught.value.code == "DATASET_NAME_TAKEN"
    with pytest.raises(InputError, match=r"no dataset 'road'\. Expected one of street") as caught:
        get_dataset(db, "road")
    assert caught.value.code == "DATASET_NOT_REGISTERED"


@pytest.mark.parametrize("name", ["", "a/b", "s3://x", "*.tar", ".."])
def test_a_name_is_no_path(db: Database, name: str) -> None:
    with pytest.raises(InputError, match="looks like a path") as caught:
        add_dataset(db, name, {"path": "/data"})
    assert caught.value.code == "DATASET_NAME"
