"""A classifier's mistakes: the images of a cell, the most confused pairs, the page of a list."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from snellen.metrics.errors.classified import CLASSIFIED_COLUMNS, classified
from snellen.metrics.errors.counts import confused_pairs
from snellen.metrics.errors.instance_views import of_cell
from snellen.metrics.errors.paging import ORDERS, Order, Paging
from snellen.store.parquet.schema import RESULT_SCHEMA

NAMES = ["a", "b", "c"]


def table(*values: tuple[Any, ...], first: int = 0) -> pa.Table:
    """Rows of (status, true, predicted, confidence)."""
    rows = [
        {
            "image_index": first + i,
            "image_id": hashlib.sha256(bytes([first + i])).hexdigest()[:6],
            "status": status,
            "true_label_id": true,
            "predicted_label_id": predicted,
            "confidence": confidence,
            "true_confidence": None if confidence is None else 1 - confidence,
        }
        for i, (status, true, predicted, confidence) in enumerate(values)
    ]
    return pa.Table.from_pylist(rows, schema=RESULT_SCHEMA).select(list(CLASSIFIED_COLUMNS))


def drawn(seed: int, count: int) -> pa.Table:
    random = np.random.default_rng(seed)
    return table(
        *(
            ("ok", int(random.integers(3)), int(random.integers(3)), random.integers(1, 5) / 8)
            for _ in range(count)
        )
    )


def test_the_images_of_a_cell() -> None:
    rows = table(
        ("ok", 0, 1, 0.75), ("ok", 0, 0, 0.5), ("failed", 0, 1, 0.5), ("ok", None, 1, 0.5),
        ("ok", 0, 1, None), first=4,
    )  # fmt: skip
    found = classified(rows)
    cell = found.take(of_cell(found, 0, 1))
    first, second = cell.instances(rows, NAMES)
    assert (first.image_index, first.image_id) == (4, rows["image_id"][0].as_py())
    assert first.true is not None
    assert first.predicted is not None
    assert (first.true.label, first.true.confidence, first.true.box) == ("a", 0.25, None)
    assert (first.predicted.label, first.predicted.confidence) == ("b", 0.75)
    assert second.image_index == 8
    assert second.predicted is not None
    assert second.predicted.confidence is None
    assert of_cell(found, 0, None).sum() == 3
    assert of_cell(found, None, 1).sum() == 2
    assert found.wrong.tolist() == [True, False, True]


MATRIX = [[5, 3, 0], [3, 1, 4], [0, 0, 0]]


@pytest.mark.parametrize("sparse", [False, True])
def test_confused_pairs(sparse: bool) -> None:
    matrix: Any = MATRIX
    if sparse:
        rows, columns = np.nonzero(np.asarray(MATRIX))
        counts = np.asarray(MATRIX)[rows, columns]
        matrix = {
            "format": "coo", "shape": [3, 3],
            "rows": rows.tolist(), "cols": columns.tolist(), "counts": counts.tolist(),
        }  # fmt: skip
    pairs = confused_pairs(matrix, NAMES, 10)
    assert [(p.true, p.predicted, p.count, p.share) for p in pairs] == [
        ("b", "c", 4, 4 / 8), ("a", "b", 3, 3 / 8), ("b", "a", 3, 3 / 8)]  # fmt: skip
    assert [(p.true_id, p.predicted_id) for p in pairs] == [(1, 2), (0, 1), (1, 0)]
    assert confused_pairs(matrix, NAMES, 1) == pairs[:1]
    assert confused_pairs([[2, 0], [0, 1]], NAMES[:2], 5) == []


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize(("offset", "limit"), [(0, 5), (3, 4), (17, 10), (30, 5), (0, 100)])
@pytest.mark.parametrize("size", [1, 4, 20])
def test_a_page_is_a_part_of_the_sorted_list(
    order: Order, offset: int, limit: int, size: int
) -> None:
    rows = drawn(1, 20)
    paging = Paging(offset, limit, order)
    for start in range(0, 20, size):
        part = rows.slice(start, size)
        paging.add(classified(part), part, NAMES)
    every = classified(rows).instances(rows, NAMES)
    if order == "confidence":  # a stable sort: equal ones as the images are
        every.sort(key=lambda one: -((one.predicted and one.predicted.confidence) or 0))
    page = paging.page()
    assert page.instances == every[offset : offset + limit]
    assert (page.total, page.images) == (20, 20)


def test_what_was_not_predicted_is_the_least_confident() -> None:
    rows = table(("ok", 0, 1, None), ("ok", 0, 1, 0.0), ("ok", 0, 1, 1.0))
    paging = Paging(0, 3, "confidence")
    paging.add(classified(rows), rows, NAMES)
    assert [one.image_index for one in paging.page().instances] == [2, 1, 0]
