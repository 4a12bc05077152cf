"""Intervals of classification metrics from groups of dependent images."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from scipy.stats import t, ttest_1samp
from sklearn.metrics import precision_recall_fscore_support

from snellen.metrics.statistics.draws import blocks_of_keys
from snellen.metrics.statistics.groups import group_keys
from snellen.metrics.statistics.intervals import wilson
from snellen.metrics.tasks import load
from tests.metrics.test_tasks import rows

NAMES = ["0", "1", "2", "3", "4", "5"]
DRAWS = 60


def images(count: int, groups: int, seed: int = 0) -> pa.Table:
    """Images whose classifier is right more often in some groups than in others."""
    random = np.random.default_rng(seed)
    of_image = random.integers(0, groups, count)
    chance = random.uniform(0.2, 0.95, groups)
    values = []
    for group in of_image:
        true = int(random.integers(0, 4))
        predicted = true if random.random() < chance[group] else int(random.integers(0, 5))
        best = [predicted, (predicted + 1) % 6, (predicted + 2) % 6]
        confidence = float(np.float32(random.uniform(0.2, 1.0)))
        values.append(("ok", true, predicted, best, confidence, float(random.exponential())))
    return (
        rows(*values)
        .append_column("image_id", [[f"{number}.png" for number in range(count)]])
        .append_column("meta_patient", [of_image.tolist()])
    )


def report(tables: list[pa.Table], **options: Any) -> Any:
    given = {"group": "meta_patient", "bootstrap": DRAWS, "seed": 5, **options}
    metrics = load("image_classification", **given)
    state = metrics.merge([metrics.state(one.select(metrics.columns), NAMES) for one in tables])
    count = sum(len(one) for one in tables)
    return metrics.compute(state, NAMES, total_images=count, failed_images=0)


def test_the_spread_is_that_of_copies_of_the_drawn_groups() -> None:
    table = images(150, 12)
    whole = report([table])
    keys = group_keys(table, "meta_patient")
    blocks = blocks_of_keys(keys)
    assert blocks.count == 12
    drawn: dict[str, list[float]] = {}
    for weights in blocks.each_draw(DRAWS, seed=5):
        copies = np.repeat(np.arange(150), weights[blocks.of_image].astype(int))
        metrics = report([table.take(copies)], group=None).metrics
        for key in whole.intervals:
            drawn.setdefault(key, []).append(metrics[key])
    assert set(whole.intervals) == set(whole.metrics) - {"coverage"}
    for key, values in drawn.items():
        half = t.ppf(0.975, 11) * np.std(values, ddof=1) * np.sqrt(12 / 11)
        value = whole.metrics[key]
        top = np.inf if key == "loss" else 1.0
        expected = [max(0.0, value - half), min(top, value + half)]
        assert whole.intervals[key] == pytest.approx(expected), key


def test_classes_have_intervals_of_groups_too() -> None:
    table = images(150, 12)
    whole = report([table])
    true, predicted = (table[name].to_numpy() for name in ("true_label_id", "predicted_label_id"))
    blocks = blocks_of_keys(group_keys(table, "meta_patient"))
    drawn = []
    for weights in blocks.each_draw(DRAWS, seed=5):
        copies = np.repeat(np.arange(150), weights[blocks.of_image].astype(int))
        drawn.append(
            precision_recall_fscore_support(
                true[copies], predicted[copies], labels=[2], zero_division=np.nan
            )[:2]
        )
    for values, key in zip(np.squeeze(np.array(drawn)).T, ("precision", "recall"), strict=True):
        half = t.ppf(0.975, 11) * np.std(values, ddof=1) * np.sqrt(12 / 11)
        found = whole.per_class["2"]
        assert found[f"{key}_interval"] == pytest.approx(
            [max(0.0, found[key] - half), min(1.0, found[key] + half)]
        )
    assert whole.per_class["5"]["recall_interval"] is None, "a class without images"


def test_any_partition_gives_the_same_intervals() -> None:
    table = images(200, 30)
    one = report([table])
    for sizes in ([1] * 200, [60, 140], [199, 1]):
        parts, start = [], 0
        for size in sizes:
            parts.append(table.slice(start, size))
            start += size
        other = report(parts[::-1])
        assert (other.intervals, other.per_class) == (one.intervals, one.per_class)


def test_groups_of_one_size_have_the_interval_of_the_t_test() -> None:
    random = np.random.default_rng(2)
    right = random.random((15, 8)) < random.uniform(0.3, 0.9, (15, 1))
    values = [("ok", 0, int(not one), [0], 0.5, 0.5) for one in right.ravel()]
    table = (
        rows(*values)
        .append_column("image_id", [[str(number) for number in range(120)]])
        .append_column("meta_patient", [np.repeat(np.arange(15), 8).tolist()])
    )
    expected = ttest_1samp(right.mean(axis=1), 0.0).confidence_interval()
    found = report([table], bootstrap=20_000).intervals["accuracy"]
    assert found == pytest.approx([expected.low, expected.high], abs=0.004)
    alone = report([table], group=None).intervals["accuracy"]
    assert alone == wilson(int(right.sum()), 120)
    assert found[1] - found[0] > alone[1] - alone[0]


def test_images_without_a_value_are_groups_of_their_own() -> None:
    table = images(40, 40)
    nothing = table.set_column(
        table.schema.get_field_index("meta_patient"), "meta_patient", pa.nulls(40, pa.string())
    )
    apart = table.set_column(
        table.schema.get_field_index("meta_patient"), "meta_patient", [[*map(str, range(40))]]
    )
    assert len(set(group_keys(nothing, "meta_patient").tolist())) == 40
    widths = [
        np.diff(report([one], bootstrap=4000).intervals["accuracy"])[0] for one in (nothing, apart)
    ]
    assert widths[0] == pytest.approx(widths[1], rel=0.06)


def test_many_groups_are_drawn_in_blocks() -> None:
    table = images(3000, 900)
    blocks = blocks_of_keys(group_keys(table, "meta_patient"))
    assert blocks.count == 200
    assert blocks.groups == len(set(table["meta_patient"].to_pylist()))
    narrow = report([table], bootstrap=400).intervals["accuracy"]
    assert report([table.slice(1500), table.slice(0, 1500)], bootstrap=400).intervals[
        "accuracy"
    ] == narrow  # fmt: skip


def test_a_perfect_accuracy_is_as_certain_as_its_number_of_groups() -> None:
    table = (
        rows(*[("ok", 0, 0, [0], 0.9, 0.1)] * 30)
        .append_column("image_id", [[str(number) for number in range(30)]])
        .append_column("meta_patient", [[number % 6 for number in range(30)]])
    )
    assert report([table]).intervals["accuracy"] == wilson(6, 6)
    assert report([table], bootstrap=0).intervals == {}
