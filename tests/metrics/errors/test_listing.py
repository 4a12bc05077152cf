"""Lists of objects are exactly what the numbers count."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from snellen.metrics.classification.confusion import DENSE_CLASSES
from snellen.metrics.detection.image_matches import match_columns
from snellen.metrics.detection.operating_point import OperatingPoint
from snellen.metrics.detection.options import options_of
from snellen.metrics.detection.tide import BUCKETS
from snellen.metrics.errors.counts import BucketCounts
from snellen.metrics.errors.instance_views import Instance, of_cell
from snellen.metrics.errors.listing import Listing, confusion_listing, listing_columns, tide_listing
from snellen.metrics.matching.overlaps import Kind
from snellen.metrics.tasks import task_of
from tests.metrics.detection.examples import TASK, draw, found, report, row, table, truth

A, B = (10, 10, 30, 30), (60, 60, 100, 100)
NEAR_A = (10, 10, 30, 16)  # IoU .3
NAMES = ["a", "b", "c"]


def cells(rows: list[dict[str, Any]], kind: str = "bbox", **options: Any) -> Listing:
    chosen = options_of(task_of(TASK[kind]).overlaps, **options)
    return confusion_listing(table(rows).select(list(listing_columns(chosen))), 3, chosen)


def errors(rows: list[dict[str, Any]], kind: str = "bbox", confidence: float = 0.0) -> Listing:
    return tide_listing(
        table(rows), 3, options_of(task_of(TASK[kind]).overlaps), confidence=confidence
    )


def shown(listing: Listing, rows: list[dict[str, Any]]) -> list[Instance]:
    return listing.instances(table(rows), NAMES)


@pytest.mark.parametrize("settings", [{}, {"operating_confidence": 0.6, "operating_iou": 0.3}])
@pytest.mark.parametrize("kind", TASK)
@pytest.mark.parametrize("seed", range(12))
def test_every_cell_of_the_matrix_has_its_instances(
    seed: int, kind: str, settings: dict[str, float]
) -> None:
    rows = draw(seed, kind, images=10)
    listing = cells(rows, kind, **settings)
    matrix = report(rows, TASK[kind], 3, **settings).confusion_matrix
    assert isinstance(matrix, list)
    assert len(matrix) <= DENSE_CLASSES
    background = len(NAMES)
    for true, counts in enumerate(matrix):
        for predicted, count in enumerate(counts):
            chosen = of_cell(
                listing,
                true if true < background else -1,
                predicted if predicted < background else -1,
            )
            assert chosen.sum() == count, (true, predicted)
    assert len(listing.image) == sum(map(sum, matrix))


@pytest.mark.parametrize("kind", TASK)
def test_the_diagonal_and_its_overlaps_are_those_of_the_matches(kind: Kind) -> None:
    rows = draw(3, kind, images=10)
    columns = match_columns(table(rows), OperatingPoint(0.25, 0.5), kind)
    listing = cells(rows, kind)
    right = shown(listing.take(listing.true_class == listing.predicted_class), rows)
    got = {
        (one.image_index, one.true.index, one.predicted.index): one.overlap
        for one in right
        if one.true and one.predicted
    }
    expected = {
        (r["image_index"], match["true_index"], match["predicted_index"]): match["overlap"]
        for r, matches in zip(rows, columns["matches"].to_pylist(), strict=True)
        for match in matches
        if match["kind"] == "TP"
    }
    assert got == pytest.approx(expected)
    assert got


def test_an_instance_says_where_to_look() -> None:
    rows = [row(7, [truth(0, *B), truth(0, *A)], [found(1, *A, confidence=0.75)])]
    confused, missed = shown(cells(rows), rows)
    assert (confused.image_index, confused.image_id, confused.bucket) == (7, "7.png", None)
    assert confused.true is not None
    assert confused.predicted is not None
    assert (confused.true.class_id, confused.true.label, confused.true.index) == (0, "a", 1)
    assert (confused.predicted.label, confused.predicted.index) == ("b", 0)
    corners = tuple(float(corner) for corner in A)
    assert confused.true.box == corners
    assert confused.predicted.box == corners
    assert confused.true.confidence is None
    assert confused.predicted.confidence == 0.75
    assert confused.overlap == 1.0
    assert missed.true is not None
    assert (missed.true.index, missed.predicted, missed.overlap) == (0, None, None)


def test_ignored_and_unsure_predictions_are_in_no_cell() -> None:
    true = [truth(0, *B, crowd=True), truth(1, *A, ignore=True)]
    predicted = [found(0, *B), found(1, *A), found(2, *A, confidence=0.2)]
    assert len(cells([row(0, true, predicted)]).image) == 0


def test_failed_images_and_parts_without_objects_have_none() -> None:
    empty = [row(0, [], [])]
    for rows in ([], empty, [row(0, [truth(0, *A)], None, status="failed")]):
        assert shown(cells(rows), rows) == []
        assert shown(errors(rows), rows) == []


def test_images_keep_their_order_and_errors_fall_in_confidence() -> None:
    rows = [
        row(9, [truth(0, *A), truth(0, *B)], [found(1, *B, confidence=c) for c in (0.3, 0.8)]),
        row(2, [], [found(1, *B, confidence=0.9)]),
    ]
    listed = shown(cells(rows), rows)
    assert [one.image_index for one in listed] == [9, 9, 9, 2]
    confidences = [one.predicted.confidence if one.predicted else None for one in listed]
    assert confidences == pytest.approx([0.8, 0.3, None, 0.9])


@pytest.mark.parametrize("kind", TASK)
@pytest.mark.parametrize("seed", range(6))
def test_every_bucket_has_its_instances(seed: int, kind: str) -> None:
    rows = draw(seed, kind, images=10)
    listing = errors(rows, kind)
    counts = report(rows, TASK[kind], 3).details["tide"]["counts"]
    listed = shown(listing, rows)
    assert {name: sum(one.bucket == name for one in listed) for name in BUCKETS} == counts
    for one in listed:
        assert (one.predicted is None) == (one.bucket == "Miss")
        assert (one.true is not None) == (one.bucket in {"Cls", "Loc", "Miss"})
        assert (one.overlap is not None) == (one.bucket in {"Cls", "Loc"})
        if one.bucket == "Loc":
            assert one.overlap is not None
            assert 0.1 <= one.overlap <= 0.5


def test_at_the_operating_point_there_are_fewer_predictions_and_more_misses() -> None:
    rows = [row(0, [truth(0, *A)], [found(0, *NEAR_A, confidence=0.2)])]
    assert [one.bucket for one in shown(errors(rows), rows)] == ["Loc"]
    assert [one.bucket for one in shown(errors(rows, confidence=0.25), rows)] == ["Miss"]


@pytest.mark.parametrize("size", [1, 3])
def test_buckets_are_counted_part_by_part(size: int) -> None:
    rows = draw(8, "bbox", images=9)
    counts, images = BucketCounts(), dict.fromkeys(BUCKETS, 0)
    for start in range(0, len(rows), size):
        counts.add(errors(rows[start : start + size]))
    for index in {r["image_index"] for r in rows}:
        of_image = errors([r for r in rows if r["image_index"] == index])
        for number in set(np.asarray(of_image.bucket).tolist()):
            images[BUCKETS[number]] += 1
    details = report(rows, TASK["bbox"], 3).details["tide"]
    buckets = counts.buckets(details["delta_ap"])
    assert [one.bucket for one in buckets] == list(BUCKETS)
    assert {one.bucket: one.count for one in buckets} == details["counts"]
    assert {one.bucket: one.images for one in buckets} == images
    assert {one.bucket: one.delta_ap for one in buckets} == details["delta_ap"]
    assert all(one.meaning for one in buckets)
