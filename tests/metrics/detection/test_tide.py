"""TIDE's buckets: scenes with one error each, and hotcoco's own count."""

from __future__ import annotations

from typing import Any

import hotcoco
import numpy as np
import pytest

from snellen.metrics.detection.tide import BUCKETS
from tests.metrics.detection.examples import (
    SIZE,
    TASK,
    _annotations,
    draw,
    found,
    report,
    row,
    table,
    truth,
)
from tests.metrics.detection.image_errors import image_errors
from tests.metrics.detection.one_image import ImageSettings, match_image

A, B = (10, 10, 30, 30), (60, 60, 100, 100)
NEAR_A = (10, 10, 30, 16)  # IoU .3
SCENES: dict[str, tuple[list[Any], list[Any], int | None]] = {
    "Cls": ([truth(0, *A)], [found(1, *A)], 0),
    "Loc": ([truth(0, *A)], [found(0, *NEAR_A)], 0),
    "Both": (
        [truth(0, *A), truth(1, *B)],
        [found(1, *NEAR_A, confidence=0.5), found(0, *A), found(1, *B)],
        None,
    ),
    "Dupe": ([truth(0, *A)], [found(0, *A), found(0, *A, confidence=0.5)], None),
    "Bkg": ([truth(0, *A)], [found(0, *A), found(0, *B)], None),
    "Miss": ([truth(0, *A), truth(0, *B)], [found(0, *A)], 1),
}


def tide(rows: list[dict[str, Any]], **options: Any) -> dict[str, Any]:
    result: dict[str, Any] = report(rows, TASK["bbox"], 3, **options).details["tide"]
    return result


@pytest.mark.parametrize("bucket", BUCKETS)
def test_a_scene_with_one_error_has_one_bucket(bucket: str) -> None:
    true, predicted, target = SCENES[bucket]
    rows = [row(7, true, predicted), row(8, [truth(2, *A)], [found(2, *A)])]
    counts = tide(rows)["counts"]
    assert {name for name, count in counts.items() if count} == {bucket}
    errors = image_errors(table(rows), TASK["bbox"], 3)
    assert list(errors) == [7]
    (error,) = errors[7]
    assert (error["bucket"], error["true_index"]) == (bucket, target)
    if bucket == "Miss":
        assert error["predicted_index"] is None
    else:
        assert error["predicted_index"] is not None


@pytest.mark.parametrize("bucket", BUCKETS)
def test_fixing_the_only_kind_of_error_gives_perfect_precision(bucket: str) -> None:
    true, predicted, _ = SCENES[bucket]
    # the wrong prediction comes first everywhere: each error costs something
    wrong = [box | {"confidence": 0.9 if i else 0.99} for i, box in enumerate(predicted)]
    rows = [row(0, true, sorted(wrong, key=lambda box: -box["confidence"]))]
    result = tide(rows)
    others = [gain for name, gain in result["delta_ap"].items() if name != bucket]
    assert result["ap"] + result["delta_ap"][bucket] == pytest.approx(1.0)
    assert max(others) == 0.0


def test_the_limits_of_the_buckets_belong_where_tidecv_has_them() -> None:
    true = truth(0, 0, 0, 10, 10)
    tenth, half = (0, 0, 10, 1), (0, 0, 10, 5)
    at = [
        ([found(0, *tenth)], "Loc"),
        ([found(0, 0, 0, 10, 10), found(0, *half, confidence=0.5)], "Loc"),
        ([found(0, 0, 0, 10, 10), found(0, 0, 0, 10, 6, confidence=0.5)], "Dupe"),
        ([found(0, 0, 0, 10, 10), found(1, *tenth)], "Bkg"),
        ([found(1, *half)], "Cls"),
    ]
    for predicted, bucket in at:
        counts = tide([row(0, [true], predicted)])["counts"]
        assert {name for name, count in counts.items() if count} == {bucket}


def test_a_crowd_excuses_and_is_not_missed() -> None:
    true = [truth(0, *B, crowd=True), truth(0, *A, ignore=True)]
    result = tide([row(0, true, [found(0, 65, 65, 80, 80)])])
    assert sum(result["counts"].values()) == 0
    assert result["ap"] is None
    assert set(result["delta_ap"].values()) == {None}


def test_only_the_most_confident_of_two_near_misses_would_be_right() -> None:
    predicted = [found(0, *NEAR_A), found(0, *NEAR_A, confidence=0.5)]
    result = tide([row(0, [truth(0, *A)], predicted)])
    assert result["counts"]["Loc"] == 2
    assert result["delta_ap"]["Loc"] == pytest.approx(1.0)


def plain(seed: int) -> list[dict[str, Any]]:
    """Rows without crowds and ignored truths, which hotcoco and tidecv treat in other ways."""
    return [
        r
        | {
            "true_boxes": [b | {"is_crowd": False, "ignore": False} for b in r["true_boxes"]],
            "predicted_boxes": r["predicted_boxes"][:100],
        }
        for r in draw(seed, "bbox", images=8)
    ]


@pytest.mark.parametrize("seed", range(40))
def test_the_counts_are_hotcocos(seed: int) -> None:
    rows = plain(seed)
    true, predicted = _annotations(rows, "bbox")
    data = hotcoco.COCO(
        {
            "images": [{"id": r["image_index"], "height": 1, "width": 1} for r in rows],
            "annotations": true,
            "categories": [{"id": i, "name": str(i)} for i in range(3)],
        }
    )
    evaluation = hotcoco.COCOeval(data, data.load_res(predicted), "bbox")
    evaluation.evaluate()
    expected, got = evaluation.tide_errors(), tide(rows)
    assert got["counts"] == expected["counts"]
    assert got["ap"] == pytest.approx(expected["ap_base"], abs=1e-12)
    for name in ("Both", "Dupe", "Bkg"):
        assert got["delta_ap"][name] == pytest.approx(expected["delta_ap"][name], abs=1e-12)


def reference(rows: list[dict[str, Any]]) -> dict[str, float]:
    """tidecv's delta AP, from our buckets: each error is fixed as its `fix()` says."""
    errors = image_errors(table(rows), TASK["bbox"], 3)
    points: dict[Any, tuple[int, float, bool]] = {}  # by prediction: class, score, right
    targets: dict[Any, list[Any]] = {}
    kinds, missed = {}, np.zeros(3, dtype=int)
    support = np.zeros(3, dtype=int)
    for r in rows:
        index = r["image_index"]
        for box in r["true_boxes"]:
            support[box["class_id"]] += 1
        for i, box in enumerate(r["predicted_boxes"]):
            points[index, i] = (box["class_id"], box["confidence"], True)
        free = set(range(len(r["true_boxes"])))
        wrong = {e["predicted_index"] for e in errors.get(index, [])}
        settings = ImageSettings("bbox", SIZE, SIZE, confidence=0.0)
        matches = match_image(r["true_boxes"], r["predicted_boxes"], settings).matches
        free -= {m["true_index"] for m in matches if m["kind"] == "TP"}
        assert wrong - {None} == {m["predicted_index"] for m in matches if m["kind"] == "FP"}
        for e in errors.get(index, []):
            key = (index, e["predicted_index"])
            if e["bucket"] == "Miss":
                missed[e["class_id"]] += 1
                continue
            kinds[key] = e["bucket"]
            points[key] = (*points[key][:2], False)
            if e["true_index"] in free:
                true = r["true_boxes"][e["true_index"]]["class_id"]
                targets.setdefault((index, e["true_index"]), []).append((key, true))
    fixes = {
        key: true
        for found_by in targets.values()
        for key, true in [max(found_by, key=lambda item: points[item[0]][1])]
    }
    base = mean_ap(points.values(), support)
    gains = {"Miss": mean_ap(points.values(), support - missed) - base}
    for bucket in BUCKETS[:5]:
        fixed = {
            key: (fixes[key], point[1], True) if kinds.get(key) == bucket else point
            for key, point in points.items()
            if kinds.get(key) != bucket or key in fixes
        }
        gains[bucket] = mean_ap(fixed.values(), support) - base
    return {name: max(0.0, gain) for name, gain in gains.items()}


def mean_ap(points: Any, support: Any) -> float:
    values = []
    for class_id in range(3):
        if support[class_id]:
            ranked = sorted((p for p in points if p[0] == class_id), key=lambda p: -p[1])
            hits = np.cumsum([p[2] for p in ranked])
            precision = hits / np.arange(1, len(hits) + 1)
            recall = hits / support[class_id]
            steps = [precision[recall >= step].max(initial=0.0) for step in np.linspace(0, 1, 101)]
            values.append(np.mean(steps))
    return float(np.mean(values))


@pytest.mark.parametrize("seed", range(40))
def test_the_gains_are_tidecvs(seed: int) -> None:
    random = np.random.default_rng(seed)
    rows = plain(seed)
    boxes = [box for r in rows for box in r["predicted_boxes"]]
    for box, confidence in zip(boxes, random.permutation(len(boxes)), strict=True):
        box["confidence"] = float(np.float32((confidence + 1) / 1024))
    for r in rows:
        r["predicted_boxes"].sort(key=lambda box: -box["confidence"])
    if not any(r["true_boxes"] for r in rows):
        return
    got = tide(rows)
    assert got["delta_ap"] == pytest.approx(reference(rows), abs=1e-9)


@pytest.mark.parametrize("kind", ["bbox", "segm", "keypoints"])
def test_every_counted_error_has_its_image(kind: str) -> None:
    rows = draw(5, kind, images=20)
    errors = image_errors(table(rows), TASK[kind], 3)
    names = [error["bucket"] for of_image in errors.values() for error in of_image]
    counts = report(rows, TASK[kind], 3).details["tide"]["counts"]
    assert {name: names.count(name) for name in BUCKETS} == counts
    sure = image_errors(table(rows), TASK[kind], 3, confidence=0.5)
    for index, of_image in sure.items():
        r = next(r for r in rows if r["image_index"] == index)
        for error in of_image:
            if error["predicted_index"] is not None:
                box = r["predicted_boxes"][error["predicted_index"]]
                assert box["confidence"] >= 0.5
                assert box["class_id"] == error["class_id"]
            else:
                assert r["true_boxes"][error["true_index"]]["class_id"] == error["class_id"]


def test_errors_point_into_rows_that_are_not_sorted() -> None:
    predicted = [found(0, *A, confidence=0.3), found(1, *B, confidence=0.8)]
    errors = image_errors(table([row(0, [truth(0, *A)], predicted)]), TASK["bbox"], 3)
    assert errors == {
        0: [{"bucket": "Bkg", "true_index": None, "predicted_index": 1, "class_id": 1}]
    }
