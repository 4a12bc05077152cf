"""The paired bootstrap of detectors against hotcoco's comparison of two evaluations."""

from __future__ import annotations

import shlex
from typing import Any

import hotcoco
import numpy as np
import polars as pl
import pytest

from snellen.adapters.errors import InputError
from snellen.analysis.comparison.detected import Detected, Detections
from snellen.analysis.comparison.pairing import pair_runs
from snellen.analysis.rescore import rescore_run
from snellen.metrics.detection.average_precision import WeightedPrecision
from snellen.metrics.statistics.draws import blocks_of
from snellen.metrics.tasks import load
from snellen.pipelines.progress import Reporter
from tests.analysis.detected import Detected as DetectedRun
from tests.metrics.detection.examples import TASK, found, report, row, table, truth

IMAGES, CLASSES = 150, 3
NAMES = tuple(f"class-{number}" for number in range(CLASSES))


def rows(noise: float) -> list[dict[str, Any]]:
    """The same images and objects with detections that are off by some pixels."""
    of_truth, random = np.random.default_rng(0), np.random.default_rng(int(noise * 10))
    found_rows = []
    for index in range(IMAGES):
        true, predicted = [], []
        for place in range(int(of_truth.integers(1, 4))):
            corner = of_truth.uniform(0, 15, 2) + 50 * place
            size = of_truth.uniform(20, 32, 2)
            box = [*corner, *(corner + size)]
            label = int(of_truth.integers(0, CLASSES))
            true.append(truth(label, *box))
            moved = [value + float(random.normal(0, noise)) for value in box]
            if random.random() < 0.9:
                predicted.append(found(label, *moved, confidence=float(random.random())))
        if random.random() < 0.3:
            predicted.append(found(0, 100, 100, 130, 140, confidence=float(random.random())))
        found_rows.append(row(index, true, predicted))
    return found_rows


def detections(of: list[dict[str, Any]]) -> Detections:
    metrics = load(TASK["bbox"], bootstrap=0)
    state = metrics.state(table(of), NAMES)
    counts = {name: np.zeros(IMAGES) for name in ("tp", "fp", "fn")}
    rng = np.random.default_rng(0)
    counts["tp"] = rng.integers(0, 3, IMAGES).astype(float)  # only its signs are used
    overlaps = {"bbox": state.overlaps["bbox"].by_image()}
    return Detections(report(of, TASK["bbox"], CLASSES), overlaps, counts, pl.DataFrame())


def evaluation(of: list[dict[str, Any]], data: dict[str, Any]) -> Any:
    results = [
        {
            "image_id": one["image_index"],
            "category_id": box["class_id"],
            "bbox": [box["x1"], box["y1"], box["x2"] - box["x1"], box["y2"] - box["y1"]],
            "score": box["confidence"],
        }
        for one in of
        for box in one["predicted_boxes"]
    ]
    true = hotcoco.COCO(data)
    evaluated = hotcoco.COCOeval(true, true.load_res(results), "bbox")
    evaluated.evaluate()
    return evaluated


def dataset(of: list[dict[str, Any]]) -> dict[str, Any]:
    annotations: list[dict[str, Any]] = []
    for one in of:
        for box in one["true_boxes"]:
            corner = [box["x1"], box["y1"], box["x2"] - box["x1"], box["y2"] - box["y1"]]
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": one["image_index"],
                    "category_id": box["class_id"],
                    "bbox": corner,
                    "area": box["area"],
                    "iscrowd": 0,
                }
            )
    return {
        "images": [{"id": one["image_index"], "height": 160, "width": 160} for one in of],
        "annotations": annotations,
        "categories": [{"id": number, "name": name} for number, name in enumerate(NAMES)],
    }


@pytest.fixture(scope="module")
def pair() -> Detected:
    """Two detectors, the second one more exact."""
    blocks = blocks_of([f"{index:03}" for index in range(IMAGES)])
    return Detected(detections(rows(3.0)), detections(rows(2.0)), blocks, NAMES, ("bbox",))


def test_differences_are_those_of_hotcoco(pair: Detected) -> None:
    a, b = rows(3.0), rows(2.0)
    ours = {one.key: one for one in pair.metric_rows()}
    data = dataset(a)
    theirs = hotcoco.compare(evaluation(a, data), evaluation(b, data), n_bootstrap=200, seed=1)
    for key, name in (("mAP50-95", "AP"), ("mAP50", "AP50")):
        difference = ours[key].difference
        assert difference is not None
        assert difference.value == pytest.approx(theirs["deltas"][name], abs=1e-6)
        # Percentiles of its draws are narrower than Student's interval.
        bounds = theirs["ci"][name]
        assert difference.low < bounds["lower"] < bounds["upper"] < difference.high
        assert 2 * difference.half_width < 1.6 * (bounds["upper"] - bounds["lower"])
    for one in pair.class_rows():
        (same,) = [of for of in theirs["per_category"] if of["cat_name"] == one.class_name]
        assert one.difference is not None
        assert one.difference.value == pytest.approx(same["delta"], abs=1e-6)


def test_the_interval_is_that_of_images_drawn_for_both_runs(pair: Detected) -> None:
    """AP from histograms of blocks varies as AP from the detections of the drawn images."""
    states = [side.overlaps["bbox"] for side in (pair.a, pair.b)]
    exact = [WeightedPrecision(s.images, s.detections, s.truths, CLASSES) for s in states]
    drawn = [
        exact[1].mean(weights).mean() - exact[0].mean(weights).mean()
        for weights in pair.blocks.each_draw(200, seed=0)
    ]
    difference = pair.metric_rows()[0].difference
    assert difference is not None
    expected = pair.blocks.half_width(np.array(drawn), 0.95)
    assert difference.half_width == pytest.approx(expected, rel=0.15)


def test_contributions_sum_to_the_difference(pair: Detected) -> None:
    found_row = pair.metric_rows()[0]
    assert found_row.difference is not None
    total = pair.contributions().sum()
    assert total == pytest.approx(found_row.difference.value, abs=0.005)
    back = Detected(pair.b, pair.a, pair.blocks, NAMES, ("bbox",))
    assert back.contributions().sum() == pytest.approx(-total)


def test_a_class_of_one_group_has_no_interval(pair: Detected) -> None:
    """The objects of class 0 are in the images of one patient, those of class 1 in many more."""
    truths = pair.a.overlaps["bbox"].truths
    patient = set(truths["image"][truths["class_id"] == 0].tolist())
    groups = ["p" if index in patient else f"{index:03}" for index in range(IMAGES)]
    grouped = Detected(pair.a, pair.b, blocks_of(groups), NAMES, ("bbox",))
    first, second, _ = (row.difference for row in grouped.class_rows())
    assert first is not None
    assert (first.interval, first.p) == (None, 1.0)
    assert second is not None
    assert second.interval is not None


def test_runs_whose_ap_is_defined_differently_are_not_compared(detected: DetectedRun) -> None:
    run, few = detected.run, detected.at(0.5, "metrics.max_dets=[1,5,20]")
    with pytest.raises(InputError) as caught:
        pair_runs(detected.db, (run, few))
    assert caught.value.code == "COMPARE_METRICS"
    assert "metrics.max_dets [1, 10, 100] and [1, 5, 20]" in caught.value.message
    # The advised command gives a run that can be compared.
    command = shlex.split(caught.value.message.split("again: ")[1])
    assert command[:3] == ["snellen", "rescore", str(few.id)]
    again = rescore_run(detected.db, few, command[3:], Reporter())
    assert len(pair_runs(detected.db, (run, again)).images)
