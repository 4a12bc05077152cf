"""The content of a dataset: a hash that names do not change, and exact copies."""

from __future__ import annotations

import hashlib
from typing import Any

import pyarrow as pa
import pytest

from snellen.pipelines.runs.reading.content import CONTENT_COLUMNS, dataset_content
from snellen.store.parquet.schema import RESULT_SCHEMA

SCHEMA = pa.schema([RESULT_SCHEMA.field(name) for name in CONTENT_COLUMNS])


def table(*rows: tuple[str, str | None, int | None]) -> pa.Table:
    names = CONTENT_COLUMNS
    return pa.Table.from_pylist([dict(zip(names, row, strict=True)) for row in rows], SCHEMA)


def counts(**changed: Any) -> dict[str, Any]:
    return {"groups": 0, "copies": 0, "conflicting": 0, "examples": [], **changed}


def test_the_hash_is_that_of_the_sorted_contents() -> None:
    expected = hashlib.sha256(b"aa\nbb\ncc\n").hexdigest()
    first = table(("1.png", "bb", 0), ("2.png", "aa", 1), ("3.png", "cc", 1))
    renamed = [table(("x.png", "cc", 1)), table(("y.png", "aa", 1), ("z.png", "bb", 0))]
    assert dataset_content([first]) == (expected, counts())
    assert dataset_content(renamed) == (expected, counts())
    other = table(("1.png", "bb", 0), ("2.png", "aa", 1), ("3.png", "dd", 1))
    assert dataset_content([other])[0] != expected
    twice = table(("1.png", "bb", 0), ("2.png", "aa", 1), ("3.png", "cc", 1), ("4.png", "cc", 1))
    assert dataset_content([twice])[0] != expected


def test_copies_are_counted_with_their_labels() -> None:
    parts = [
        table(("a", "1", 0), ("b", "2", 0), ("c", "1", 1)),
        table(("d", "2", 0), ("e", "2", None), ("f", "3", 2), ("g", None, 0), ("h", None, 1)),
    ]
    _, found = dataset_content(parts)
    assert found == counts(
        groups=2, copies=3, conflicting=1, examples=[["a", "c"], ["b", "d", "e"]]
    )


@pytest.mark.parametrize("rows", [[], [("a", None, 0)]])
def test_without_a_readable_image_there_is_no_hash(rows: list[Any]) -> None:
    assert dataset_content([table(*rows)]) == (None, counts())
