"""Thresholds by class: every reader counts each class at its own confidence."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import select

import snellen
from snellen.adapters.errors import ConfigError
from snellen.analysis.drawing import draw_image
from snellen.analysis.error_analysis import ErrorAnalysis, InstanceQuery
from snellen.analysis.export.run_export import ExportTarget, export_run
from snellen.analysis.reader import open_results
from snellen.analysis.rescore import rescore_run
from snellen.metrics.errors.counts import BucketSummary
from snellen.pipelines.config.loader import build_config
from snellen.pipelines.progress import Reporter
from snellen.pipelines.runs.reading.operating import operating_point, operating_text
from snellen.pipelines.runs.runner import TestRunner
from snellen.pipelines.visualization.matches import MISSED, TRUE_POSITIVE
from snellen.store.sql.models import TestImageResult
from snellen.store.views import RunView
from tests.analysis.conftest import detected
from tests.analysis.detected import COUNTS, Detected

__all__ = ["detected"]

STRICT_CATS = "{cat: 0.95, dog: 0.05}"
BY_HAND = ((1, 1, 1), (0, 2, 1), (0, 2, 0), (2, 0, 1))
"""tp, fp, fn of the images of `tests.analysis.detected` with `STRICT_CATS`."""
MATRIX = [[0, 0, 3], [0, 3, 0], [0, 5, 0]]
"""Rows cat, dog, background: three cats missed, three dogs found, five dogs on background."""


@pytest.fixture(scope="module")
def strict(detected: Detected) -> RunView:
    return rescored(detected, STRICT_CATS)


def rescored(detected: Detected, thresholds: str, *words: str) -> RunView:
    overrides = [f"metrics.operating_confidence={thresholds}", *words]
    return rescore_run(detected.db, detected.run, overrides, Reporter())


def counts_of(detected: Detected, run: RunView) -> list[tuple[int, int, int]]:
    return open_results(detected.db, run).frame(["tp", "fp", "fn"]).rows()


def test_rows_are_matched_at_the_threshold_of_their_class(
    detected: Detected, strict: RunView
) -> None:
    assert counts_of(detected, strict) == list(BY_HAND)
    rows = open_results(detected.db, strict).frame(["matches", "is_correct"]).to_dicts()
    assert [row["is_correct"] for row in rows] == [c[1:] == (0, 0) for c in BY_HAND]
    kinds = [Counter(match["kind"] for match in row["matches"]) for row in rows]
    assert [(k["TP"], k["FP"], k["FN"]) for k in kinds] == list(BY_HAND)


def test_metrics_add_each_class_at_its_own_threshold(strict: RunView) -> None:
    tp, fp, fn = np.sum(BY_HAND, axis=0).tolist()
    assert strict.metrics is not None and strict.per_class_metrics is not None
    assert strict.metrics["precision"] == tp / (tp + fp)
    assert strict.metrics["recall"] == tp / (tp + fn)
    assert strict.metrics["f1"] == 2 * tp / (2 * tp + fp + fn)
    cat, dog = (strict.per_class_metrics[name] for name in ("cat", "dog"))
    assert [cat[key] for key in ("tp", "fp", "fn")] == [0, 0, 3]
    assert [dog[key] for key in ("tp", "fp", "fn")] == [3, 5, 0]
    assert strict.confusion_matrix == MATRIX


@pytest.mark.parametrize(
    ("thresholds", "as_if"),
    [
        ("{dog: 0.5}", 0.5),  # cats keep 0.25, and have 0.9
        ("{default: 0.05, cat: 0.25}", 0.05),
        ("{default: 0.9, dog: 0.25}", 0.25),
    ],
)
def test_default_stands_for_the_other_classes(
    detected: Detected, thresholds: str, as_if: float
) -> None:
    assert counts_of(detected, rescored(detected, thresholds)) == list(COUNTS[as_if])


def test_a_rescore_equals_an_evaluation_at_these_thresholds(
    detected: Detected, strict: RunView
) -> None:
    data = detected.config.model_dump()
    data["metrics"]["operating_confidence"] = {"cat": 0.95, "dog": 0.05}
    fresh = TestRunner(build_config(data), database=detected.url).run_test()
    timings = [name for name in open_results(detected.db, fresh).frame().columns if "time" in name]
    found, expected = (
        open_results(detected.db, run).frame().drop(timings) for run in (strict, fresh)
    )
    assert found.equals(expected)
    keys = ("metrics", "intervals", "per_class_metrics", "confusion_matrix", "details")
    assert all(getattr(strict, key) == getattr(fresh, key) for key in keys)
    assert sql_boxes(detected, strict) == sql_boxes(detected, fresh)


def sql_boxes(detected: Detected, run: RunView) -> list[tuple[bool | None, list[int]]]:
    with detected.db.session() as session:
        query = select(TestImageResult).where(TestImageResult.test_run_id == run.id)
        rows = session.execute(query.order_by(TestImageResult.image_index)).scalars().all()
        return [
            (row.is_correct, [box["class_id"] for box in row.predicted_boxes or []]) for row in rows
        ]


def test_the_sql_copy_holds_the_predictions_that_reach_their_threshold(
    detected: Detected, strict: RunView
) -> None:
    correct = [c[1:] == (0, 0) for c in BY_HAND]
    assert sql_boxes(detected, strict) == [(one, [1, 1]) for one in correct]


def test_lists_follow(detected: Detected, strict: RunView) -> None:
    results = open_results(detected.db, strict)
    assert results.filter(predicted_class=0).collect().height == 0
    assert results.filter(predicted_class=1).collect().height == 4
    analysis = ErrorAnalysis(detected.db, strict)
    for true, predicted, count in (
        ("cat", "background", 3), ("dog", "dog", 3), ("background", "dog", 5),
    ):  # fmt: skip
        assert analysis.instances(InstanceQuery(true=true, predicted=predicted)).total == count
    summary = analysis.summary()
    assert isinstance(summary, BucketSummary)
    assert {one.bucket: one.count for one in summary.buckets if one.count} == {"Miss": 3, "Bkg": 5}
    assert (summary.min_confidence, summary.class_confidences) == (0.25, {"cat": 0.95, "dog": 0.05})
    opened = snellen.open_run(strict.id, database=detected.url)
    assert opened.results(["fn"])["fn"].to_list() == [c[2] for c in BY_HAND]


def test_exports_and_drawings_follow(detected: Detected, strict: RunView, tmp_path: Path) -> None:
    export_run(detected.db, strict, ExportTarget("json", tmp_path / "rows.json"), {})
    rows = json.loads((tmp_path / "rows.json").read_text())
    assert [(row["tp"], row["fp"], row["fn"]) for row in rows] == list(BY_HAND)
    pixels: Any = draw_image(detected.db, strict, 0)
    seen = {tuple(colour) for colour in np.unique(pixels.reshape(-1, 3), axis=0).tolist()}
    assert {TRUE_POSITIVE, MISSED} <= seen  # the dog is found, the cat is missed
    assert MISSED not in {
        tuple(c) for c in np.unique(draw_image(detected.db, detected.run, 0).reshape(-1, 3), axis=0)
    }


def test_slices_by_matches_are_those_of_the_new_thresholds(detected: Detected) -> None:
    run = rescored(detected, STRICT_CATS, "metrics.slices=[fn]")
    assert run.details is not None
    (found,) = run.details["slices"]
    images = {name: one["total_images"] for name, one in found["slices"].items()}
    assert images == {"0": 1, "1": 3}


def test_thresholds_are_named_in_words(detected: Detected, strict: RunView) -> None:
    point = operating_point(strict)
    assert point is not None
    assert operating_text(point, strict.class_names or ()) == "0.25, cat 0.95, dog 0.05"
    # every class has one threshold: no class has its own
    assert operating_point(rescored(detected, "{cat: 0.25}")) == operating_point(detected.run)


@pytest.mark.parametrize(
    ("thresholds", "code", "says"),
    [
        ("{cats: 0.5}", "CLASS_UNKNOWN", r"operating_confidence cats: .*did you mean cat\?"),
        ("{cat: 1.5}", "CONFIG_INVALID", "metrics.operating_confidence: .*less than or equal to 1"),
        ("{}", "CONFIG_INVALID", "metrics.operating_confidence: .*at least 1 item"),
        ("high", "CONFIG_INVALID", "metrics.operating_confidence: .*not .high."),
        ("0.0005", "METRICS_CONFIDENCE", "0.0005 is below model.min_confidence, 0.001"),
        ("{dog: 0.0005}", "METRICS_CONFIDENCE", "of dog: 0.0005 is below model.min_confidence"),
    ],
)
def test_thresholds_that_cannot_be_used_are_rejected(
    detected: Detected, thresholds: str, code: str, says: str
) -> None:
    with pytest.raises(ConfigError, match=says) as caught:
        rescored(detected, thresholds)
    assert caught.value.code == code


def test_an_evaluation_rejects_them_before_it_starts(detected: Detected) -> None:
    data = detected.config.model_dump()
    data["model"]["min_confidence"] = 0.3
    data["metrics"]["operating_confidence"] = {"default": 0.5, "dog": 0.2}
    with pytest.raises(ConfigError, match=r"of dog: 0.2 is below model.min_confidence, 0.3"):
        TestRunner(build_config(data), database=detected.url).run_test()
