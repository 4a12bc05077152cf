"""The matches of one image are COCO's, and the run's counts are the sum of them."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, get_args

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from snellen.metrics.detection.image_matches import match_columns
from snellen.metrics.detection.operating_point import OperatingPoint
from snellen.metrics.matching.assignment import Pairs, greedy
from snellen.metrics.matching.instances import EXTRA
from snellen.metrics.matching.overlaps import Kind, keypoint_sigmas
from snellen.store.parquet.schema import RESULT_SCHEMA
from tests.metrics.detection.examples import (
    SIZE,
    TASK,
    coco_stats,
    draw,
    found,
    report,
    row,
    table,
    truth,
)
from tests.metrics.detection.one_image import (
    ImageMatches,
    ImageSettings,
    confusion_pairs,
    match_image,
)

CLASSES = 3
KINDS: tuple[Kind, ...] = get_args(Kind)


def settings(r: dict[str, Any], kind: Kind, **options: float) -> ImageSettings:
    names = ("true_masks", "predicted_masks", "true_keypoints", "predicted_keypoints")
    given: dict[str, Any] = {name: r.get(name) for name in names} | options
    return ImageSettings(kind, SIZE, SIZE, **given)


def columns(rows: list[dict[str, Any]], kind: Kind, **options: float) -> dict[str, pa.Array]:
    point = OperatingPoint(options.get("confidence", 0.25), options.get("overlap", 0.5))
    return match_columns(table(rows), point, kind)


def match(r: dict[str, Any], kind: Kind = "bbox", **options: float) -> ImageMatches:
    """The matches of one image by the matcher of the metrics."""
    found = {name: values.to_pylist()[0] for name, values in columns([r], kind, **options).items()}
    mean = found["oks"] if "oks" in found else found["iou"]
    counts = (found["tp"], found["fp"], found["fn"])
    return ImageMatches(found["matches"], *counts, found["is_correct"], mean)


def confident(r: dict[str, Any], confidence: float = 0.25) -> list[int]:
    return [i for i, box in enumerate(r["predicted_boxes"]) if box["confidence"] >= confidence]


def by_pycocotools(r: dict[str, Any], kind: Kind) -> list[tuple[str, int, int | None]]:
    """(kind, predicted index, true index) at confidence .25 and overlap .5."""
    keep = confident(r)
    kept = r | {
        name: [r[name][i] for i in keep]
        for name in ("predicted_boxes", "predicted_masks", "predicted_keypoints")
        if name in r
    }
    evaluation = coco_stats([kept], kind, CLASSES)
    if evaluation is None:
        return []
    limit = evaluation.params.maxDets[-1]
    result = []
    for item in evaluation.evalImgs:
        if item is None or item["aRng"] != evaluation.params.areaRng[0]:
            continue
        assert item["maxDet"] == limit
        for number, true, ignored in zip(
            item["dtIds"], item["dtMatches"][0], item["dtIgnore"][0], strict=True
        ):
            name = "IGNORED" if ignored else "TP" if true else "FP"
            result.append((name, keep[number - 1], int(true) - 1 if true else None))
    return sorted(result, key=lambda entry: entry[1])


@pytest.mark.parametrize("kind", KINDS)
def test_matches_are_pycocotools(kind: Kind) -> None:
    seen = set()
    for seed in range(25):
        for r in draw(seed, kind, classes=CLASSES):
            if len(r["predicted_boxes"]) > 20:
                continue  # pycocotools would cut some off
            result = match(r, kind)
            got = [
                (m["kind"], m["predicted_index"], m["true_index"])
                for m in result.matches
                if m["kind"] != "FN"
            ]
            assert sorted(got, key=lambda entry: entry[1]) == by_pycocotools(r, kind)
            seen |= {m["kind"] for m in result.matches}
    assert seen == {"TP", "FP", "FN", "IGNORED"}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("confidence", "overlap"), [(0.25, 0.5), (0.6, 0.75), (0.0, 0.05)])
def test_a_run_counts_what_its_images_count(kind: Kind, confidence: float, overlap: float) -> None:
    for seed in range(8):
        rows = draw(seed, kind, images=6, classes=CLASSES)
        whole = report(
            rows,
            TASK[kind],
            CLASSES,
            operating_confidence=confidence,
            operating_iou=overlap,
        )
        images = [match(r, kind, confidence=confidence, overlap=overlap) for r in rows]
        for name in ("tp", "fp", "fn"):
            total = sum(getattr(image, name) for image in images)
            assert sum(values[name] for values in whole.per_class.values()) == total
        matrix = np.zeros((CLASSES + 1, CLASSES + 1), dtype=np.int64)
        for r in rows:
            cells = confusion_pairs(
                r["true_boxes"],
                r["predicted_boxes"],
                num_classes=CLASSES,
                settings=settings(r, kind, confidence=confidence, overlap=overlap),
            )
            for cell in cells:
                matrix[cell] += 1
        assert whole.confusion_matrix == matrix.tolist()


@pytest.mark.parametrize("kind", KINDS)
def test_the_confusion_matrix_and_the_counts_are_one_account(kind: Kind) -> None:
    rows = draw(3, kind, images=30, classes=4)
    result = report(rows, TASK[kind], 4)
    matrix = np.array(result.confusion_matrix)
    for number, values in enumerate(result.per_class.values()):
        assert matrix[number].sum() == values["support"] == values["tp"] + values["fn"]
        assert matrix[:, number].sum() == values["tp"] + values["fp"]
        assert matrix[number, number] == values["tp"]
    assert matrix[4, 4] == 0
    off = matrix[:4, :4].sum() - np.trace(matrix)
    assert off > 0


def test_one_truth_goes_to_the_more_confident_prediction() -> None:
    predicted = [
        found(0, 0, 0, 10, 9, confidence=0.6),
        found(0, 0, 0, 10, 8, confidence=0.7),
        found(0, 0, 0, 10, 10, confidence=0.2),
    ]
    result = match(row(0, [truth(0, 0, 0, 10, 10)], predicted))
    assert result.matches == [
        {"kind": "TP", "true_index": 0, "predicted_index": 1, "overlap": pytest.approx(0.8)},
        {"kind": "FP", "true_index": None, "predicted_index": 0, "overlap": None},
    ]
    assert (result.tp, result.fp, result.fn, result.is_correct) == (1, 1, 0, False)
    assert result.mean_overlap == pytest.approx(0.8)


def test_many_predictions_may_lie_in_a_crowd_and_one_in_an_ignored_truth() -> None:
    two = [found(0, 0, 0, 10, 10), found(0, 20, 20, 30, 30, confidence=0.8)]
    crowd = match(row(0, [truth(0, 0, 0, 100, 100, crowd=True)], two))
    assert [m["kind"] for m in crowd.matches] == ["IGNORED", "IGNORED"]
    assert crowd.matches[0]["overlap"] == 1.0
    assert crowd.is_correct
    twice = [found(0, 0, 0, 10, 10), found(0, 0, 0, 10, 10, confidence=0.8)]
    ignored = match(row(0, [truth(0, 0, 0, 10, 10, ignore=True)], twice))
    assert [m["kind"] for m in ignored.matches] == ["IGNORED", "FP"]
    assert (ignored.fp, ignored.fn) == (1, 0)


def test_a_truth_that_counts_goes_before_an_ignored_one() -> None:
    true = [truth(0, 0, 0, 10, 10, ignore=True), truth(0, 0, 0, 10, 8)]
    result = match(row(0, true, [found(0, 0, 0, 10, 10)]))
    assert [(m["kind"], m["true_index"]) for m in result.matches] == [("TP", 1)]


def test_classes_do_not_mix() -> None:
    result = match(row(0, [truth(0, 0, 0, 9, 9)], [found(1, 0, 0, 9, 9)]))
    assert [m["kind"] for m in result.matches] == ["FP", "FN"]
    assert result.mean_overlap is None


def test_an_empty_image_is_right() -> None:
    for kind in KINDS:
        result = match(row(0, [], []), kind)
        assert result.matches == []
        assert result.is_correct


@pytest.mark.parametrize("kind", KINDS)
@hypothesis_settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    images=st.integers(1, 12),
    confidence=st.sampled_from([0.0, 0.25, 0.6]),
    overlap=st.sampled_from([0.05, 0.5, 0.75, 1.0]),
)
def test_rows_are_those_of_the_oracle_to_the_last_bit(
    kind: Kind, seed: int, images: int, confidence: float, overlap: float
) -> None:
    rows = draw(seed, kind, images=images, classes=CLASSES)
    got = columns(rows, kind, confidence=confidence, overlap=overlap)
    of_oracle = []
    for r in rows:
        found = match_image(
            r["true_boxes"],
            r["predicted_boxes"],
            settings(r, kind, confidence=confidence, overlap=overlap),
        )
        mean = "oks" if kind == "keypoints" else "iou"
        of_oracle.append(asdict(found) | {mean: found.mean_overlap})
    expected = table(of_oracle)
    for name, values in got.items():
        assert values.cast(RESULT_SCHEMA.field(name).type).equals(expected[name].combine_chunks())


def test_rows_that_are_not_evaluated_are_null() -> None:
    boxes = [truth(0, 0, 0, 10, 10)]
    rows = [
        row(4, boxes, None, status="failed"),
        row(9, boxes, []),
        row(2, None, [found(0, 0, 0, 10, 10)]),
    ]
    got = {name: values.to_pylist() for name, values in columns(rows, "bbox").items()}
    assert got["fn"] == [None, 1, None]
    assert got["is_correct"] == [None, False, None]
    assert [entries and len(entries) for entries in got["matches"]] == [None, 1, None]
    assert got["iou"] == [None, None, None]


def test_the_limits_are_inclusive() -> None:
    r = row(0, [truth(0, 0, 0, 10, 10)], [found(0, 0, 0, 10, 5, confidence=0.25)])
    assert match(r).tp == 1
    whole = row(0, [truth(0, 0, 0, 10, 10)], [found(0, 0, 0, 10, 10)])
    assert match(whole, overlap=1.0).tp == 1


@pytest.mark.parametrize("kind", ["segm", "keypoints"])
def test_shapes_that_are_not_parallel_are_rejected(kind: Kind) -> None:
    r = row(0, [], [], **{f"{side}_{EXTRA[kind]}": [] for side in ("true", "predicted")})
    assert match(r, kind).is_correct
    with pytest.raises(ValueError, match=r"image 0 has 1 entries\. Expected 0, one per box"):
        match(r | {f"predicted_{EXTRA[kind]}": [None]}, kind)
    with pytest.raises(ValueError, match=r"image 0 has 1 entries\. Expected 0, one per box"):
        match(r | {f"true_{EXTRA[kind]}": [None]}, kind)


def test_poses_of_different_numbers_of_points_are_refused() -> None:
    point = {"x": 1.0, "y": 1.0, "v": 2.0}
    r = row(0, [truth(0, 0, 0, 9, 9)] * 2, [], true_keypoints=[[point], [point] * 2])
    with pytest.raises(ValueError, match=r"instances of \[1, 2\] keypoints\. Expected one number"):
        match(r | {"predicted_keypoints": []}, "keypoints")


def test_a_threshold_of_one_is_reached_in_spite_of_rounding() -> None:
    first = np.zeros(1, dtype=np.int64)
    no = np.zeros(1, dtype=np.bool_)
    near = Pairs(first, first, np.array([1 - 1e-12]))
    assert greedy(near, first, np.array([1.0]), no, no).tolist() == [[0]]


def test_a_truth_without_area_has_that_of_its_box() -> None:
    given, bare = truth(0, 0, 0, 20, 30), truth(0, 0, 0, 20, 30) | {"area": None}
    points = [{"x": float(i), "y": 3.0, "v": 2.0} for i in range(17)]
    moved = [point | {"x": point["x"] + 0.5} for point in points]
    shape = {"true_keypoints": [points], "predicted_keypoints": [moved]}
    rows = [row(0, [box], [found(0, 0, 0, 20, 30)], **shape) for box in (given, bare)]
    one, other = (match(r, "keypoints", overlap=0.1) for r in rows)
    assert one == other
    reports = [report([r], TASK["keypoints"], 1).to_dict() for r in rows]
    assert reports[0] == reports[1]


def test_sigmas_are_cocos_for_17_points_and_even_otherwise() -> None:
    assert keypoint_sigmas(17)[5] == 0.079
    assert keypoint_sigmas(4).tolist() == [0.25] * 4
    assert keypoint_sigmas(2, [0.1, 0.2]).tolist() == [0.1, 0.2]
    with pytest.raises(ValueError, match="Expected 3 numbers above 0"):
        keypoint_sigmas(3, [0.1, 0.2])
