"""Reports by slice are the reports of the slices' rows."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from snellen.adapters.errors import ConfigError
from snellen.metrics.accumulator import Accumulator
from snellen.metrics.slices import MAX_SLICES, NONE, SlicedMetrics
from snellen.metrics.tasks import load
from tests.metrics.detection.examples import TASK, draw, row, table, truth
from tests.metrics.test_tasks import rows as classified

NAMES = ["a", "b", "c"]
A = (10, 10, 30, 30)


def sliced(
    tables: list[pa.Table], by: str, task: str = TASK["bbox"], **more: Any
) -> dict[str, Any]:
    metrics = SlicedMetrics(task, NAMES, by, **more)
    for part in tables:
        metrics.add(part)
    return metrics.reports()


def with_column(rows: pa.Table, values: list[Any], name: str = "meta_camera") -> pa.Table:
    return rows.append_column(name, pa.array(values))


@pytest.mark.parametrize("kind", TASK)
def test_a_slice_by_a_column_is_the_report_of_its_rows(kind: str) -> None:
    rows = draw(1, kind, images=12)
    cameras = np.random.default_rng(0).choice(["x", "y"], 12).tolist()
    whole = with_column(table(rows), cameras)
    got = sliced([whole.slice(0, 5), whole.slice(5)], "meta_camera", TASK[kind], bootstrap=20)
    assert list(got) == ["x", "y"]
    for name, result in got.items():
        part = [r for r, camera in zip(rows, cameras, strict=True) if camera == name]
        metrics = load(TASK[kind], bootstrap=20)
        state = metrics.state(table(part), NAMES)
        expected = metrics.compute(state, NAMES, total_images=len(part), failed_images=0)
        assert result.to_dict() == expected.to_dict()


@pytest.mark.parametrize("kind", TASK)
def test_states_may_be_merged_at_any_time(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = draw(2, kind, images=12)
    whole = with_column(table(rows), ["x", "y", "x"] * 4)
    expected = sliced([whole], "meta_camera", TASK[kind], bootstrap=0)
    early = partial(Accumulator, every=2)
    monkeypatch.setattr("snellen.metrics.slices.Accumulator", early)
    parts = [whole.slice(start, 1) for start in range(12)]
    got = sliced(parts, "meta_camera", TASK[kind], bootstrap=0)
    for name in ("x", "y"):
        assert got[name].to_dict() == expected[name].to_dict()


def test_classification_has_slices_too() -> None:
    rows = classified(
        ("ok", 0, 0, [0, 1, 2], 0.9, 0.25),
        ("ok", 1, 0, [0, 1, 2], 0.9, 0.25),
        ("failed", 1, None, None, None, None),
    )
    got = sliced(
        [with_column(rows, ["day", "night", "night"])], "meta_camera", "image_classification"
    )
    assert got["day"].metrics["accuracy"] == 1.0
    assert got["night"].metrics["accuracy"] == 0.0
    assert (got["night"].total_images, got["night"].failed_images) == (2, 1)


def test_images_by_their_objects() -> None:
    large = truth(0, 0, 0, 150, 150)
    crowd = truth(0, 0, 0, 150, 150, crowd=True)
    objects = [[], [truth(0, *A)], [truth(0, *A), large], [large] * 3, [crowd], [large] * 12]
    rows = table([row(i, true, []) for i, true in enumerate(objects)])
    counts = {name: r.total_images for name, r in sliced([rows], "object_count").items()}
    assert counts == {"0": 2, "1": 1, "2-4": 2, "10+": 1}
    sizes = {name: r.total_images for name, r in sliced([rows], "object_size").items()}
    # the median of a small and a large area is a large one
    assert sizes == {"small": 1, "large": 3, NONE: 2}


def test_images_by_their_size() -> None:
    sizes = [(511, 512), (512, 512), (1024, 1023), (1024, 1024), (None, None)]
    rows = [row(i, [], []) | {"height": h, "width": w} for i, (h, w) in enumerate(sizes)]
    rows[4]["status"] = "failed"
    got = sliced([table(rows)], "image_size")
    assert {name: r.total_images for name, r in got.items()} == {
        "small": 1,
        "medium": 2,
        "large": 1,
        NONE: 1,
    }
    assert got[NONE].failed_images == 1


def test_numbers_are_cut_at_limits() -> None:
    rows = with_column(table([row(i, [], []) for i in range(5)]), [-1.0, 0.0, 0.5, 2.0, None])
    got = sliced([rows], "meta_camera", edges=[0, 1])
    assert {name: r.total_images for name, r in got.items()} == {
        "< 0": 1,
        "0 - 1": 2,
        ">= 1": 1,
        NONE: 1,
    }


def test_what_cannot_be_sliced_is_refused() -> None:
    many = MAX_SLICES + 1
    rows = with_column(table([row(i, [], []) for i in range(many)]), list(range(many)))
    with pytest.raises(
        ValueError, match=r"meta_camera has too many values\. Expected at most 100 slices"
    ):
        sliced([rows], "meta_camera")
    for edges in ([], [2, 1], [1, 1]):
        with pytest.raises(ValueError, match="Expected rising limits"):
            SlicedMetrics(TASK["bbox"], NAMES, "meta_camera", edges=edges)
    with pytest.raises(ValueError, match="Expected rising limits"):
        SlicedMetrics(TASK["bbox"], NAMES, "object_count", edges=[1])
    with pytest.raises(ConfigError, match="'poetry' has no metrics"):
        SlicedMetrics("poetry", NAMES, "meta_camera")


def test_the_columns_to_read() -> None:
    assert "meta_camera" in SlicedMetrics(TASK["bbox"], NAMES, "meta_camera").columns
    columns = SlicedMetrics("image_classification", NAMES, "image_size").columns
    assert {"height", "width", "status", "true_label_id"} <= set(columns)
