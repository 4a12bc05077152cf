"""Intervals of precision, recall and F1 of detectors against copies of the drawn images."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.stats import t, ttest_1samp

from snellen.metrics.statistics.draws import blocks_of_images
from snellen.metrics.statistics.intervals import wilson
from snellen.metrics.tasks import load
from tests.metrics.detection.examples import TASK, draw, found, report, row, table, truth

CLASSES = 3
DRAWS = 40
KEYS = ("precision", "recall", "f1")
BOX = (10, 10, 50, 50)


@pytest.mark.parametrize("kind", TASK)
def test_the_spread_is_that_of_copies_of_the_drawn_images(kind: str) -> None:
    rows = [one for one in draw(7, kind, images=18) if one["status"] == "ok"]
    rows.sort(key=lambda one: int(one["image_index"]))  # the order in which images are drawn
    whole = report(rows, TASK[kind], CLASSES, bootstrap=DRAWS, seed=3)
    values: dict[str, list[float]] = {key: [] for key in KEYS}
    for weights in blocks_of_images(len(rows)).each_draw(DRAWS, seed=3):
        copies = [one for one, count in zip(rows, weights, strict=True) for _ in range(int(count))]
        numbered = [one | {"image_index": number} for number, one in enumerate(copies)]
        drawn = report(numbered, TASK[kind], CLASSES, bootstrap=0).metrics
        for key in KEYS:
            value = drawn[key]
            assert value is not None
            values[key].append(value)
    for key in KEYS:
        size = len(rows)
        half = t.ppf(0.975, size - 1) * np.std(values[key], ddof=1) * np.sqrt(size / (size - 1))
        value = whole.metrics[key]
        assert value is not None
        expected = [max(0.0, value - half), min(1.0, value + half)]
        assert whole.intervals[key] == pytest.approx(expected), key


@pytest.mark.parametrize("kind", TASK)
def test_any_partition_gives_the_same_intervals(kind: str) -> None:
    rows = draw(9, kind, images=20)
    names = [str(number) for number in range(CLASSES)]
    metrics = load(TASK[kind], bootstrap=DRAWS, seed=1)

    def measured(sizes: list[int]) -> Any:
        parts, start = [], 0
        for size in sizes:
            parts.append(metrics.state(table(rows[start : start + size]), names))
            start += size
        state = metrics.merge(parts[::-1])
        return metrics.compute(state, names, total_images=20, failed_images=0)

    one = measured([20])
    for sizes in ([1] * 20, [7, 13], [19, 1]):
        other = measured(sizes)
        assert other.intervals == one.intervals
        assert other.per_class == one.per_class
    assert any(values["recall_interval"] for values in one.per_class.values())


def test_objects_of_one_image_are_not_independent() -> None:
    """Ten objects that are found or missed together tell as much as one."""
    random = np.random.default_rng(0)
    boxes = [(12 * place, 10, 12 * place + 10, 20) for place in range(10)]
    rows = []
    for index in range(80):
        seen = random.random() < 0.5
        true = [truth(0, *box) for box in boxes]
        rows.append(row(index, true, [found(0, *box) for box in boxes] if seen else []))
    result = report(rows, TASK["bbox"], 1, bootstrap=400)
    low, high = result.intervals["recall"] or [0.0, 0.0]
    hits = round(80 * (result.metrics["recall"] or 0.0))
    of_images, of_objects = wilson(hits, 80), wilson(10 * hits, 800)
    assert of_images is not None and of_objects is not None
    assert high - low == pytest.approx(of_images[1] - of_images[0], rel=0.15)
    assert high - low > 2.5 * (of_objects[1] - of_objects[0])
    of_class = result.per_class["class-0"]
    assert of_class["recall_interval"] == [low, high]


def test_a_value_without_variation_has_wilsons_interval_over_images() -> None:
    rows = [row(i, [truth(0, *BOX)], [found(0, *BOX)]) for i in range(8)]
    rows += [row(8 + i, [], []) for i in range(4)]
    result = report(rows, TASK["bbox"], 1, bootstrap=50)
    for key in KEYS:
        assert result.metrics[key] == 1.0
        assert result.intervals[key] == wilson(8, 8), "four images have no object"


@pytest.mark.slow
def test_images_of_one_group_are_drawn_together() -> None:
    """Three copies of every image, grouped, have the interval of the images themselves."""
    singles = draw(3, "bbox", images=20)
    copies = [one | {"image_index": number} for number, one in enumerate(singles * 3)]
    groups = [f"place {number % 20:02d}" for number in range(60)]

    def intervals(rows: list[dict[str, Any]], values: list[Any] | None) -> Any:
        names = [str(number) for number in range(CLASSES)]
        group = None if values is None else "meta_place"
        metrics = load(TASK["bbox"], bootstrap=2000, group=group)
        whole = table(rows)
        if values is not None:
            assert group in metrics.columns
            whole = whole.append_column("meta_place", [values])
        state = metrics.state(whole, names)
        found = metrics.compute(state, names, total_images=len(rows), failed_images=0)
        return found.intervals

    alone, together = intervals(singles, None), intervals(copies, groups)
    naive, own = intervals(copies, None), intervals(singles, [None] * 20)
    for key in (*KEYS, "mAP50-95", "mAP50"):
        width = alone[key][1] - alone[key][0]
        assert together[key] == pytest.approx(alone[key], abs=0.12 * width), key
        assert naive[key][1] - naive[key][0] < 0.75 * width, key
        assert own[key] == pytest.approx(alone[key], abs=0.12 * width), "null: a group each"


@pytest.mark.slow
def test_the_interval_of_groups_of_one_size_is_that_of_the_t_test() -> None:
    random = np.random.default_rng(4)
    rows: list[dict[str, Any]] = []
    groups: list[int] = []
    seen: list[bool] = []
    for group in range(12):
        chance = random.uniform(0.3, 0.9)
        for _ in range(5):
            seen.append(random.random() < chance)
            groups.append(group)
            rows.append(row(len(rows), [truth(0, *BOX)], [found(0, *BOX)] if seen[-1] else []))
    metrics = load(TASK["bbox"], bootstrap=20_000, group="meta_clip")
    whole = table(rows).append_column("meta_clip", [groups])
    state = metrics.state(whole, ["0"])
    result = metrics.compute(state, ["0"], total_images=60, failed_images=0)
    means = np.array(seen, float).reshape(12, 5).mean(axis=1)
    expected = ttest_1samp(means, 0.0).confidence_interval()
    assert result.intervals["recall"] == pytest.approx([expected.low, expected.high], abs=0.004)


def test_no_intervals_without_draws_or_objects() -> None:
    rows = [row(i, [truth(0, *BOX)], [found(0, *BOX)]) for i in range(3)]
    assert report(rows, TASK["bbox"], 1, bootstrap=0).intervals["recall"] is None
    empty = report([row(0, [], [found(0, *BOX)])], TASK["bbox"], 1)
    assert [empty.intervals[key] for key in KEYS] == [None] * 3
    one = report([row(0, [truth(0, *BOX)], [])], TASK["bbox"], 1, bootstrap=50)
    assert one.intervals["precision"] is None
    assert one.intervals["recall"] == wilson(0, 1)
