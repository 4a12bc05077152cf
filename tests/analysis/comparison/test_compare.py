"""Comparison of two runs: each number against the rows that it counts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from scipy.stats import ttest_1samp

from snellen.adapters.errors import InputError
from snellen.analysis.comparison.classified import Classified, Predictions, read_classified
from snellen.analysis.comparison.compare import CompareSettings, compare_runs
from snellen.analysis.comparison.pairing import pair_runs
from snellen.analysis.reader import open_results
from snellen.analysis.rescore import rescore_run
from snellen.metrics.comparison.paired_proportions import mcnemar, tango
from snellen.metrics.statistics.draws import blocks_of
from snellen.pipelines.config.loader import build_config
from snellen.pipelines.imports.import_request import ImportRequest
from snellen.pipelines.imports.import_run import import_predictions
from snellen.pipelines.progress import Reporter
from snellen.pipelines.runs.runner import TestRunner
from snellen.store.runs import get_test_run
from snellen.store.views import RunView
from tests.analysis.detected import COUNTS, OBJECTS, Detected
from tests.pipelines.box_adapter import box_dataset
from tests.pipelines.making import write_image
from tests.pipelines.place import Place

SWAPPED = {"class_names": ["0", "2", "1"]}


@pytest.fixture
def runs(place: Place) -> tuple[RunView, RunView]:
    """A classifier, and the same one with the names of two classes swapped."""
    return place.run(name="a"), place.run(name="b", model=SWAPPED)


def rows_of(place: Place, run: RunView) -> pl.DataFrame:
    return open_results(place.db, run).frame().sort("image_index")


def by_key(document: dict[str, Any], rows: str = "metrics") -> dict[str, Any]:
    return {row.get("class", row["key"]): row for row in document[rows]}


def test_accuracy_is_the_exact_test_of_the_discordant_images(
    place: Place, runs: tuple[RunView, RunView]
) -> None:
    found = compare_runs(place.db, runs)
    a, b = (rows_of(place, run)["is_correct"].to_numpy() for run in runs)
    only_a, only_b = int((a & ~b).sum()), int((b & ~a).sum())
    assert only_a + only_b > 0
    primary = found["primary"]
    assert primary == by_key(found)["accuracy"]
    assert (primary["a"], primary["b"]) == (a.mean(), b.mean())
    assert primary["difference"] == pytest.approx(b.mean() - a.mean())
    assert primary["interval"] == pytest.approx(tango(only_a, only_b, 12))
    assert primary["p"] == mcnemar(only_a, only_b)
    assert {kind: one["count"] for kind, one in found["images"].items()} == {
        "fixed": only_b,
        "broken": only_a,
        "both_correct": int((a & b).sum()),
        "both_incorrect": int((~a & ~b).sum()),
    }


def test_the_other_metrics_are_those_of_the_runs(
    place: Place, runs: tuple[RunView, RunView]
) -> None:
    rows = by_key(compare_runs(place.db, runs))
    for key in ("top5_accuracy", "macro_precision", "macro_recall", "macro_f1", "loss", "ece"):
        for run, side in zip(runs, "ab", strict=True):
            assert run.metrics is not None
            assert rows[key][side] == pytest.approx(run.metrics[key], abs=1e-6), key


def test_classes_pair_by_name(place: Place, runs: tuple[RunView, RunView]) -> None:
    rows = by_key(compare_runs(place.db, runs), "classes")
    assert set(rows) == {"0", "1", "2"}
    for run, side in zip(runs, "ab", strict=True):
        assert run.per_class_metrics is not None
        for name, row in rows.items():
            assert row[side] == pytest.approx(run.per_class_metrics[name]["recall"])


def test_swapping_the_runs_mirrors_the_comparison(
    place: Place, runs: tuple[RunView, RunView]
) -> None:
    forth, back = (compare_runs(place.db, pair) for pair in (runs, runs[::-1]))
    for row, mirrored in zip(forth["metrics"], back["metrics"], strict=True):
        assert mirrored["difference"] == pytest.approx(-row["difference"])
        low, high = row["interval"]
        assert mirrored["interval"] == pytest.approx([-high, -low])
        assert mirrored["p"] == pytest.approx(row["p"])


def test_a_run_is_equivalent_to_itself(place: Place, runs: tuple[RunView, RunView]) -> None:
    found = compare_runs(place.db, (runs[0], runs[0]), CompareSettings(tolerance=0.5))
    assert found["verdict"] == "equivalent"
    assert found["primary"]["p"] == 1.0
    assert found["images"]["fixed"]["count"] == found["images"]["broken"]["count"] == 0


def test_images_that_differ_are_left_out_and_counted(place: Place) -> None:
    write_image(place.data / "2" / "large.png", 100, size=(40, 30))
    before = place.run(name="a")
    (place.data / "0" / "00.png").unlink()
    write_image(place.data / "0" / "01.png", 199)
    (place.data / "1" / "00.png").rename(place.data / "2" / "new.png")
    after = place.run(name="b", images={"max_pixels": 100})
    found = compare_runs(place.db, (before, after))
    assert found["common_images"] == 9
    assert found["left_out"] == {
        "only_in_a": 2, "only_in_b": 1, "other_content": 1, "scored_in_one": 1,
    }  # fmt: skip
    assert found["verdict"] == "not_settled", "more than 1 % of the images failed in one run"


def test_runs_without_common_images_are_an_error(place: Place, tmp_path: Path) -> None:
    first = place.run(name="a")
    for image in list(place.data.rglob("*.png")):
        image.rename(image.with_name(f"new-{image.name}"))
    with pytest.raises(InputError, match=r"no images in common \(12 only in a, 12 only in b") as e:
        compare_runs(place.db, (first, place.run(name="b")))
    assert e.value.code == "COMPARE_NOTHING"


def test_several_runs_are_compared_with_the_first(
    place: Place, runs: tuple[RunView, RunView]
) -> None:
    found = compare_runs(place.db, (*runs, runs[0]))
    assert [(one["a"]["id"], one["b"]["id"]) for one in found["comparisons"]] == [(1, 2), (1, 1)]
    with pytest.raises(InputError, match=r"1 run\. Expected two or more") as caught:
        compare_runs(place.db, runs[:1])
    assert caught.value.code == "COMPARE_RUNS"


def test_an_unknown_group_lists_the_columns(place: Place, runs: tuple[RunView, RunView]) -> None:
    with pytest.raises(InputError, match="no column 'meta_patient'") as caught:
        compare_runs(place.db, runs, CompareSettings(group="meta_patient"))
    assert caught.value.code == "COMPARE_GROUP"


def test_the_lists_of_changes_hold_exactly_what_is_counted(
    place: Place, runs: tuple[RunView, RunView], tmp_path: Path
) -> None:
    found = compare_runs(place.db, runs, CompareSettings(output=tmp_path / "changes"))
    images = pl.read_parquet(found["images"]["fixed"]["indices_file"])
    assert len(images) == 12
    rows = [rows_of(place, run) for run in runs]
    for kind, one in found["images"].items():
        listed = images.filter(pl.col("kind") == kind)
        assert len(listed) == one["count"]
        right = [
            frame.filter(pl.col("image_id").is_in(listed["image_id"].to_list()))["is_correct"]
            for frame in rows
        ]
        expected = {
            "fixed": (False, True), "broken": (True, False),
            "both_correct": (True, True), "both_incorrect": (False, False),
        }[kind]  # fmt: skip
        assert [set(column) for column in right] == [
            {value} if len(listed) else set() for value in expected
        ]
    with pytest.raises(InputError, match="exists"):
        compare_runs(place.db, runs, CompareSettings(output=tmp_path / "changes"))


def test_detectors_are_compared_at_their_own_operating_points(detected: Detected) -> None:
    strict = detected.at(0.5)
    found = compare_runs(detected.db, (detected.run, strict))
    rows = by_key(found)
    assert rows["mAP50-95"]["difference"] == 0
    for side, limit in (("a", 0.25), ("b", 0.5)):
        tp, fp, fn = np.sum(COUNTS[limit], axis=0)
        assert rows["precision"][side] == pytest.approx(tp / (tp + fp))
        assert rows["recall"][side] == pytest.approx(tp / (tp + fn))
    # At 0.5 the dogs of confidence 0.4 are lost: two true positives, two false positives.
    assert {kind: one["count"] for kind, one in found["objects"].items()} == {
        "fixed": 0, "broken": 2, "new_fp": 0, "vanished_fp": 2,
    }  # fmt: skip
    back = compare_runs(detected.db, (strict, detected.run))
    assert {kind: one["count"] for kind, one in back["objects"].items()} == {
        "fixed": 2, "broken": 0, "new_fp": 2, "vanished_fp": 0,
    }  # fmt: skip


def test_common_images_without_objects_have_no_precision(
    detected: Detected, tmp_path: Path
) -> None:
    path = box_dataset(tmp_path / "data", [()] * len(OBJECTS))
    dataset = detected.config.dataset.model_copy(update={"path": str(path)})
    output = detected.config.output.model_copy(update={"dir": str(tmp_path / "out")})
    config = detected.config.model_copy(update={"dataset": dataset, "output": output})
    other = TestRunner(config, database=detected.url).run_test()
    found = compare_runs(detected.db, (detected.run, other))
    assert found["common_images"] == OBJECTS.count(())
    assert found["left_out"] == {"other_ground_truth": len(OBJECTS) - OBJECTS.count(())}
    assert found["verdict"] == "not_settled"
    rows = by_key(found)
    for key in ("mAP50-95", "mAP50", "recall"):
        assert (rows[key]["a"], rows[key]["b"], rows[key]["difference"]) == (None, None, None)
    assert found["classes"] == []


def test_runs_of_some_classes_are_compared_on_these(
    place: Place, runs: tuple[RunView, RunView]
) -> None:
    words = ["metrics.classes=['0','2']"]
    some = [rescore_run(place.db, run, words, Reporter()) for run in runs]
    found = compare_runs(place.db, some)
    assert found["left_out"] == {"other_classes": 4}
    for run, side in zip(some, "ab", strict=True):
        assert run.metrics is not None
        assert found["primary"][side] == run.metrics["accuracy"]
    assert set(by_key(found, "classes")) == {"0", "2"}
    with pytest.raises(InputError, match=r"run 1 scores all classes.*snellen rescore") as caught:
        compare_runs(place.db, (runs[0], some[1]))
    assert caught.value.code == "COMPARE_CLASSES"


def test_runs_of_different_tasks_are_not_compared(place: Place, detected: Detected) -> None:
    classified = place.run()
    with pytest.raises(InputError, match="Expected one task") as caught:
        compare_runs(detected.db, (get_test_run(detected.db, "boxes"), classified))
    assert caught.value.code == "COMPARE_TASK"


def test_the_calibration_error_has_the_bins_of_the_runs(
    place: Place, runs: tuple[RunView, RunView]
) -> None:
    coarse = [rescore_run(place.db, run, ["metrics.ece_bins=2"], Reporter()) for run in runs]
    pair = pair_runs(place.db, coarse)
    read = read_classified(pair, blocks_of(pair.images["image_id"].to_list()))
    assert (read.a.ece_bins, read.b.ece_bins) == (2, 2)
    # One image is right at 0.6, one is wrong at 0.9, both in the upper one of two bins.
    confidence, correct = np.array([0.6, 0.9]), np.array([1.0, 0.0])
    predicted, nothing = np.array([0, 1]), np.full(2, np.nan)
    a, b = (Predictions(predicted, correct, nothing, nothing, confidence, n) for n in (15, 2))
    made = Classified(np.zeros(2, np.int64), a, b, blocks_of(["x", "y"]), False, ("0", "1"))
    (ece,) = [row for row in made.metric_rows() if row.key == "ece"]
    assert (ece.a, ece.b) == pytest.approx((0.4 / 2 + 0.9 / 2, 2 * abs(0.5 - 0.75) / 2))


def test_a_metric_that_one_run_lacks_has_no_difference(
    place: Place, runs: tuple[RunView, RunView], tmp_path: Path
) -> None:
    """Predictions of a table without probabilities have no five most probable classes."""
    rows = rows_of(place, runs[0])
    table = tmp_path / "table.csv"
    rows.select("image_id", "predicted_label", "confidence").write_csv(table)
    sections = {
        "model": {"checkpoint": str(table)},
        "dataset": {"path": str(place.data)},
        "output": {"dir": str(tmp_path / "out")},
        "database": place.url,
    }
    imported = import_predictions(ImportRequest(table), build_config(sections), Reporter())
    found = by_key(compare_runs(place.db, (runs[0], imported)))
    assert runs[0].metrics is not None
    for key in ("top5_accuracy", "loss"):
        assert found[key]["a"] == pytest.approx(runs[0].metrics[key]), key
        assert {found[key][of] for of in ("b", "difference", "interval", "p")} == {None}, key
        assert found[key]["verdict"] == "not_settled"
    assert found["accuracy"]["difference"] == 0


def test_a_class_of_one_group_has_no_interval() -> None:
    """All images of class 0 are of one patient, who alone says nothing about other patients."""
    true = np.array([0, 0, 0, 0, 1, 1, 1, 1])
    ones, nothing = np.ones(8), np.full(8, np.nan)
    a = Predictions(true, ones, nothing, nothing, nothing)
    wrong = np.array([0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 1.0, 0.0])
    b = Predictions(1 - true, wrong, nothing, nothing, nothing)
    blocks = blocks_of(["p", "p", "p", "p", "q", "r", "s", "t"])
    first, second = Classified(true, a, b, blocks, True, ("0", "1")).class_rows()
    assert first.difference is not None
    assert (first.difference.value, first.difference.interval) == (-1.0, None)
    assert first.difference.p == 1.0
    # Class 1 has four patients of one image: the interval is that of the t test.
    expected = ttest_1samp(b.correct[4:] - a.correct[4:], 0.0).confidence_interval(0.95)
    assert second.difference is not None
    assert second.difference.low == pytest.approx(expected.low, rel=0.1)
