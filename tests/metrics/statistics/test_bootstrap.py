"""AP under weights of the images, and the intervals that come of it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from snellen.metrics.detection.average_precision import WeightedPrecision
from snellen.metrics.detection.options import options_of
from snellen.metrics.detection.state import OverlapState
from snellen.metrics.statistics.block_bootstrap import mean_precision
from snellen.metrics.tasks import load
from tests.metrics.classification.examples import EXACT
from tests.metrics.detection.examples import (
    PREFIX,
    TASK,
    coco_stats,
    draw,
    found,
    report,
    row,
    table,
    truth,
)

CLASSES = 3


def part(rows: list[dict[str, Any]], kind: str) -> OverlapState:
    metrics = load(TASK[kind])
    state = metrics.state(table(rows), [str(i) for i in range(CLASSES)])
    overlaps: dict[str, OverlapState] = state.overlaps
    return overlaps[kind].by_image()


def weighted(state: OverlapState, weights: Any) -> Any:
    precision = WeightedPrecision(state.images, state.detections, state.truths, CLASSES)
    return precision.mean(np.asarray(weights, dtype=np.float64))


@pytest.mark.parametrize("kind", TASK)
def test_even_weights_give_pycocotools_ap(kind: str) -> None:
    for seed in range(30):
        rows = draw(seed, kind)
        expected = coco_stats(rows, kind, CLASSES)
        if expected is None or expected.stats[0] == -1:
            continue
        state = part(rows, kind)
        for weight in (1.0, 3.0):
            values = weighted(state, np.full(len(rows), weight))
            assert abs(values.mean() - expected.stats[0]) <= EXACT
            assert abs(values[0] - expected.stats[1]) <= EXACT


def test_a_weight_of_n_is_n_copies() -> None:
    for seed in range(20):
        rows = sorted(draw(seed, "bbox"), key=lambda r: int(r["image_index"]))
        # of equal confidences, copies of the images would stand in another order
        boxes = [box for r in rows for box in r["predicted_boxes"]]
        for place, box in enumerate(sorted(boxes, key=lambda box: -box["confidence"])):
            box["confidence"] = 1 - place / 1024
        counts = np.random.default_rng(seed).integers(0, 4, len(rows))
        copies = [r for r, count in zip(rows, counts, strict=True) for _ in range(count)]
        copies = [r | {"image_index": number} for number, r in enumerate(copies)]
        got = weighted(part(rows, "bbox"), counts)
        if not copies:
            assert np.isnan(got).all()
            continue
        expected = weighted(part(copies, "bbox"), np.ones(len(copies)))
        assert np.allclose(got, expected, atol=EXACT, equal_nan=True)


@pytest.mark.parametrize("kind", TASK)
def test_intervals_hold_the_value_and_repeat(kind: str) -> None:
    rows = draw(4, kind, images=25)
    one = report(rows, TASK[kind], CLASSES, bootstrap=50, seed=3)
    for key in ("mAP50-95", "mAP50", PREFIX[kind] + "mAP50-95", PREFIX[kind] + "mAP50"):
        low, high = one.intervals[key] or [1.0, 0.0]
        value = one.metrics[key]
        assert value is not None
        assert 0 <= low < value < high <= 1
    again = report(rows[::-1], TASK[kind], CLASSES, bootstrap=50, seed=3)
    assert again.intervals == one.intervals
    other = report(rows, TASK[kind], CLASSES, bootstrap=50, seed=4)
    assert other.intervals != one.intervals
    narrow = report(rows, TASK[kind], CLASSES, bootstrap=50, seed=3, confidence_level=0.5)
    assert _width(narrow) < _width(one)


def _width(result: Any) -> float:
    low, high = result.intervals["mAP50-95"]
    return float(high - low)


def test_the_standard_deviation_is_that_of_new_samples() -> None:
    """Intervals from one sample are as wide as the values of many samples are spread."""
    random = np.random.default_rng(0)

    def sample(size: int) -> list[dict[str, Any]]:
        box = (10, 10, 50, 50)
        return [
            row(
                i,
                [truth(0, *box)],
                [found(0, *box, confidence=float(c))] if random.random() < 0.6 else [],
            )
            for i, c in enumerate(random.random(size))
        ]

    values = [report(sample(100), TASK["bbox"], 1).metrics["mAP50"] for _ in range(150)]
    spread = np.std([value for value in values if value is not None])
    widths = [report(sample(100), TASK["bbox"], 1, bootstrap=100) for _ in range(5)]
    estimate = np.mean([_width(result) for result in widths]) / 2 / 1.96
    assert estimate == pytest.approx(spread, rel=0.25)


def test_no_interval_without_draws_truths_or_a_second_image() -> None:
    box = (10, 10, 50, 50)
    one = [row(0, [truth(0, *box)], [found(0, *box)])]
    assert report(one, TASK["bbox"], 1, bootstrap=100).intervals["mAP50"] is None
    empty = [row(i, [], [found(0, *box)]) for i in range(3)]
    assert report(empty, TASK["bbox"], 1, bootstrap=100).intervals["mAP50"] is None
    two = [row(i, [truth(0, *box)], [found(0, *box)]) for i in range(2)]
    assert report(two, TASK["bbox"], 1, bootstrap=0).intervals["mAP50"] is None
    assert report(two, TASK["bbox"], 1, bootstrap=100).intervals["mAP50"] == [1.0, 1.0]


def test_there_are_200_draws_unless_asked() -> None:
    assert options_of(("bbox",)).resamples == 200
    assert options_of(("bbox",), bootstrap=0).resamples == 0


@pytest.mark.parametrize("kind", TASK)
def test_blocks_of_one_image_are_images(kind: str) -> None:
    for seed in range(10):
        state = part(draw(seed, kind, images=20), kind)
        images = len(state.images)
        if not state.truths["counted"].any():
            continue
        weights = np.random.default_rng(seed).integers(0, 4, (5, images))
        got = mean_precision(state, CLASSES, np.arange(images), weights.astype(np.float32))
        for of_draw, expected in zip(got, weights, strict=True):
            assert np.allclose(of_draw, weighted(state, expected), atol=1e-6, equal_nan=True)


def test_blocks_are_as_wide_as_images(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = many_images(1500)
    by_image = report(rows, TASK["bbox"], 1, bootstrap=200)
    monkeypatch.setattr("snellen.metrics.statistics.bootstrap.IMAGES_DRAWN_UP_TO", 10)
    by_block = report(rows, TASK["bbox"], 1, bootstrap=200)
    again = report(rows[::-1], TASK["bbox"], 1, bootstrap=200)
    assert by_block.intervals == again.intervals != by_image.intervals
    assert _width(by_block) == pytest.approx(_width(by_image), rel=0.2)


def many_images(count: int) -> list[dict[str, Any]]:
    """A set in an order that matters: detections get worse from one end to the other."""
    random = np.random.default_rng(5)
    rows = []
    for i in range(count):
        shift = float(random.normal(0, 2 + 6 * i / count))
        box = (10 + shift, 10, 50 + shift, 50)
        rows.append(
            row(i, [truth(0, 10, 10, 50, 50)], [found(0, *box, confidence=float(random.random()))])
        )
    return rows
