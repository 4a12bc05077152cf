"""Matches, counts and correctness of every reader are those at a run's own operating point."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest
from sqlalchemy import select, text

import snellen
from snellen.analysis.drawing import draw_image
from snellen.analysis.reader import open_results
from snellen.metrics.detection.operating_point import OperatingPoint
from snellen.pipelines.runs.reading.operating import MATCH_COLUMNS, operating_point
from snellen.pipelines.runs.runner import TestRunner
from snellen.pipelines.visualization.matches import FALSE_POSITIVE, MISSED, TRUE_POSITIVE
from snellen.store.parquet.results import Results
from snellen.store.sql.models import TestImageResult
from snellen.store.views import RunView
from tests.analysis.conftest import detected
from tests.analysis.detected import CORRECT, COUNTS, OBJECTS, Detected

__all__ = ["detected"]


def run_at(detected: Detected, confidence: float) -> RunView:
    return detected.run if confidence == 0.25 else detected.at(confidence)


@pytest.mark.parametrize("confidence", COUNTS)
def test_counts_are_those_at_the_operating_point(detected: Detected, confidence: float) -> None:
    run = run_at(detected, confidence)
    rows = open_results(detected.db, run).frame().to_dicts()
    assert tuple((row["tp"], row["fp"], row["fn"]) for row in rows) == COUNTS[confidence]
    assert [row["is_correct"] for row in rows] == CORRECT[confidence]
    for row in rows:
        kinds = [match["kind"] for match in row["matches"]]
        assert tuple(kinds.count(kind) for kind in ("TP", "FP", "FN")) == (
            row["tp"], row["fp"], row["fn"])  # fmt: skip
    tp, fp, fn = np.sum(COUNTS[confidence], axis=0)
    assert run.metrics is not None
    assert run.metrics["precision"] == tp / (tp + fp)
    assert run.metrics["recall"] == tp / (tp + fn)


def test_a_rescored_run_has_its_own_overlap(detected: Detected) -> None:
    # the box of confidence .1 covers 64 of 100 square pixels of its object
    assert open_results(detected.db, detected.at(0.05)).frame()["tp"].to_list() == [2, 1, 0, 3]
    stricter = detected.at(0.05, "metrics.operating_iou=0.75")
    found = open_results(detected.db, stricter).frame(["tp", "fp", "fn", "iou"])
    assert found.rows() == [(2, 1, 0, 1), (1, 2, 0, 1), (0, 3, 0, None), (2, 1, 1, 1)]
    assert operating_point(stricter) == OperatingPoint(0.05, 0.75)


def test_files_keep_their_matches(detected: Detected) -> None:
    run = detected.at(0.5)
    results = open_results(detected.db, run)
    stored = Results(results.results_dir, results.records).frame()
    assert stored["tp"].to_list() == [2, 1, 0, 2]
    assert results.frame().columns == stored.columns
    assert results.frame().schema == stored.schema
    others = [name for name in stored.columns if name not in MATCH_COLUMNS]
    assert results.frame(others).equals(stored.select(others))


def test_lazy_reads_select_and_filter(detected: Detected) -> None:
    results = open_results(detected.db, detected.at(0.5))
    lazy = results.lazy()
    assert lazy.filter(pl.col("fn") == 2).select("image_id").collect().rows() == [("3.png",)]
    assert lazy.select("tp").head(3).collect()["tp"].to_list() == [1, 1, 0]
    assert lazy.head(1).filter(pl.col("fn") == 2).collect().height == 0
    assert lazy.select(pl.col("fp").sum()).collect().item() == 1
    assert [t.column_names for t in results.iter_units(["fp"])] == [["fp"], ["fp"]]


@pytest.mark.parametrize(("confidence", "dogs"), [(0.25, 4), (0.5, 0)])
def test_predicted_classes_reach_the_operating_confidence(
    detected: Detected, confidence: float, dogs: int
) -> None:
    results = open_results(detected.db, run_at(detected, confidence))
    assert results.filter(predicted_class=1).collect().height == dogs
    assert results.filter(predicted_class=0).collect().height == 4
    page = results.page(results.filter(correct=True))
    assert [row["image_index"] for row in page.rows] == [
        index for index, correct in enumerate(CORRECT[confidence]) if correct]  # fmt: skip


def colours(pixels: Any) -> set[tuple[int, ...]]:
    return {tuple(colour) for colour in np.unique(pixels.reshape(-1, 3), axis=0).tolist()}


def test_drawings_have_the_matches_of_the_run(detected: Detected) -> None:
    known = {TRUE_POSITIVE, FALSE_POSITIVE, MISSED}
    first = colours(draw_image(detected.db, detected.run, 0)) & known
    assert first == {TRUE_POSITIVE}
    rescored = colours(draw_image(detected.db, detected.at(0.5), 0)) & known
    assert rescored == {TRUE_POSITIVE, MISSED}


@pytest.mark.parametrize(("confidence", "kept"), [(0.25, 2), (0.5, 1), (0.05, 3)])
def test_sql_rows_hold_predictions_down_to_the_operating_point(
    detected: Detected, confidence: float, kept: int
) -> None:
    run = run_at(detected, confidence)
    with detected.db.session() as session:
        query = select(TestImageResult).where(TestImageResult.test_run_id == run.id)
        rows = session.execute(query.order_by(TestImageResult.image_index)).scalars().all()
        boxes = [row.predicted_boxes or [] for row in rows]
        truth = [row.true_boxes or [] for row in rows]
    assert [len(one) for one in boxes] == [kept] * 4
    assert all(box["confidence"] >= np.float32(confidence) for one in boxes for box in one)
    true = [[(box["class_id"], box["x1"], box["y1"]) for box in one] for one in truth]
    assert true == [[tuple(one) for one in of_image] for of_image in OBJECTS]
    stored = open_results(detected.db, run).frame()["predicted_boxes"]
    assert stored.list.len().to_list() == [3] * 4


def correct_in_sql(detected: Detected, run: RunView) -> list[bool]:
    with detected.db.session() as session:
        query = text("SELECT is_correct FROM test_image_results WHERE test_run_id = :run")
        rows = session.execute(query, {"run": run.id}).scalars().all()
    return [bool(value) for value in rows]


def test_sql_rows_and_python_follow(detected: Detected) -> None:
    run = detected.at(0.5)
    assert correct_in_sql(detected, detected.run) == CORRECT[0.25]
    assert correct_in_sql(detected, run) == CORRECT[0.5]
    opened = snellen.open_run(run.id, database=detected.url)
    assert opened.results(["is_correct"])["is_correct"].to_list() == CORRECT[0.5]


def test_a_resume_with_another_operating_point_counts_there(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    own = Detected(tmp_path_factory.mktemp("resumed"))
    paths = open_results(own.db, own.run).paths
    paths[1].unlink()
    words = ["metrics.operating_confidence=0.5"]
    run = TestRunner(database=own.url).resume(own.run.id, words)
    assert run.metrics is not None
    assert run.metrics["recall"] == 3 / 6
    found = open_results(own.db, run).frame()
    assert list(zip(found["tp"], found["fp"], found["fn"], strict=True)) == list(COUNTS[0.5])
    assert correct_in_sql(own, run) == CORRECT[0.5]
