"""Classification metrics equal scikit-learn's, and any partition merged equals one pass."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence

import numpy as np
import pytest
from sklearn import metrics as sk

from snellen.metrics.classification.confusion import DENSE_CLASSES
from snellen.metrics.classification.metrics import ClassificationOptions, compute
from snellen.metrics.classification.state import ClassificationState, ImageArrays
from tests.metrics.classification.examples import EXACT, draw, report, whole

KEYS = (
    "accuracy",
    "top5_accuracy",
    "macro_precision",
    "macro_recall",
    "macro_f1",
    "weighted_precision",
    "weighted_recall",
    "weighted_f1",
    "loss",
    "ece",
    "coverage",
)


# -- equal to scikit-learn -------------------------------------------------------------------

SIZES = [(1, 500, 10), (2, 60, 40), (3, 1, 3), (4, 300, 2), (5, 2000, 100)]


@pytest.mark.parametrize(("seed", "images", "classes"), SIZES)
def test_averages_are_scikit_learns(seed: int, images: int, classes: int) -> None:
    data, result = whole(seed, images, classes)
    true, predicted = data["true_ids"], data["predicted_ids"]
    assert tuple(result.metrics) == KEYS
    assert result.metrics["accuracy"] == pytest.approx(
        sk.accuracy_score(true, predicted), abs=EXACT
    )
    for average in ("macro", "weighted"):
        expected = sk.precision_recall_fscore_support(
            true, predicted, labels=np.unique(true), average=average, zero_division=0
        )
        for name, value in zip(("precision", "recall", "f1"), expected[:3], strict=True):
            assert result.metrics[f"{average}_{name}"] == pytest.approx(value, abs=EXACT)
    top5 = [t in best for t, best in zip(true, data["top5_ids"], strict=True)]
    assert result.metrics["top5_accuracy"] == pytest.approx(np.mean(top5), abs=EXACT)
    mean_loss = math.fsum(data["loss"].astype(np.float64)) / len(true)
    assert result.loss == pytest.approx(mean_loss, abs=EXACT)
    assert result.metrics["coverage"] == len(true) / images
    assert result.primary_metric_name == "accuracy"
    assert result.primary_metric_value == result.metrics["accuracy"]


@pytest.mark.parametrize(("seed", "images", "classes"), SIZES)
def test_classes_and_the_confusion_matrix_are_scikit_learns(
    seed: int, images: int, classes: int
) -> None:
    data, result = whole(seed, images, classes)
    true, predicted, labels = data["true_ids"], data["predicted_ids"], range(classes)
    assert result.confusion_matrix == sk.confusion_matrix(true, predicted, labels=labels).tolist()
    precision, recall, f1, support = sk.precision_recall_fscore_support(
        true, predicted, labels=labels, zero_division=0
    )
    for i, row in enumerate(result.per_class.values()):
        assert (row["class_id"], row["support"]) == (i, support[i])
        assert row["predicted"] == (predicted == i).sum()
        if support[i]:
            expected = (precision[i], recall[i], f1[i])
            values = (row["precision"], row["recall"], row["f1"])
            assert values == pytest.approx(expected, abs=EXACT)


# -- classes that are absent, sets that are empty --------------------------------------------


def small(true: Sequence[int], predicted: Sequence[int], classes: int) -> ClassificationState:
    count = len(true)
    return ClassificationState.from_arrays(
        classes,
        ImageArrays(
            np.array(true, dtype=np.int64),
            np.array(predicted, dtype=np.int64),
            np.array(predicted, dtype=np.int64)[:, None],
            np.full(count, 0.5),
            np.full(count, 0.5),
            np.full(count, math.log(2)),
            np.ones(count, dtype=bool),
        ),
    )


def test_a_class_without_images_has_no_metrics_and_is_in_no_average() -> None:
    # class 2 has no image but is predicted once; class 1 has images and is never predicted
    result = report(small([0, 0, 1], [0, 2, 0], 4), 3)
    absent, never = result.per_class["class-2"], result.per_class["class-1"]
    assert (absent["precision"], absent["recall"], absent["f1"]) == (None, None, None)
    assert (absent["support"], absent["predicted"]) == (0, 1)
    assert (absent["precision_interval"], absent["recall_interval"]) == (None, None)
    assert (never["precision"], never["recall"], never["f1"]) == (0.0, 0.0, 0.0)
    assert never["precision_interval"] is None
    assert result.metrics["macro_recall"] == 0.25  # of classes 0 and 1


def test_where_nothing_was_scored_there_is_nothing_but_coverage() -> None:
    result = report(ClassificationState.empty(3), 5, failed=5)
    assert {key: result.metrics[key] for key in KEYS if key != "coverage"} == dict.fromkeys(
        KEYS[:-1]
    )
    assert result.metrics["coverage"] == 0.0
    assert set(result.intervals.values()) == {None}
    assert (result.primary_metric_value, result.loss) == (None, None)
    assert result.confusion_matrix == [[0] * 3] * 3
    assert report(ClassificationState.empty(3), 0).metrics["coverage"] is None


def test_rows_that_are_not_scored_may_hold_anything() -> None:
    state = ClassificationState.from_arrays(
        2,
        ImageArrays(
            np.array([-1, 0]),
            np.array([99, 0]),
            np.array([[-1, -1], [0, 1]]),
            np.array([np.nan, 1.0]),
            np.array([7.0, 1.0]),
            np.array([np.nan, 0.0]),
            np.array([False, True]),
        ),
    )
    result = report(state, 2, failed=1)
    assert (result.metrics["accuracy"], result.metrics["coverage"]) == (1.0, 0.5)
    assert (result.scored_images, result.failed_images) == (1, 1)


def test_with_fewer_than_five_classes_the_top_five_are_all() -> None:
    data = draw(6, 50, 3)
    assert data["top5_ids"].shape == (50, 3)
    result = report(ClassificationState.from_arrays(3, ImageArrays(**data)), 50)
    assert result.metrics["top5_accuracy"] == 1.0


def test_images_without_a_list_or_a_loss_are_left_out_of_those_metrics_only() -> None:
    state = ClassificationState.from_arrays(
        3,
        ImageArrays(
            np.array([0, 1]),
            np.array([0, 0]),
            np.array([[0, 1], [-1, -1]]),
            np.array([0.9, np.nan]),
            np.array([0.9, np.nan]),
            np.array([0.1, np.nan]),
            np.array([True, True]),
        ),
    )
    metrics = report(state, 2).metrics
    assert metrics["accuracy"] == 0.5
    assert (metrics["top5_accuracy"], metrics["loss"]) == (1.0, 0.1)
    assert metrics["ece"] == pytest.approx(0.1)


# -- names and shapes ------------------------------------------------------------------------


def test_classes_that_share_a_name_keep_their_own_rows() -> None:
    state = small([0, 1], [0, 1], 3)
    result = compute(
        state, ["crane", "crane", "owl"], ClassificationOptions(), total_images=2, failed_images=0
    )
    assert list(result.per_class) == ["crane [0]", "crane [1]", "owl"]


def test_the_most_confused_pairs_come_first() -> None:
    state = small([0, 1, 1, 2, 2], [1, 2, 2, 2, 0], 3)
    assert report(state, 5).most_confused == [
        {"true": "class-1", "predicted": "class-2", "true_id": 1, "predicted_id": 2, "count": 2},
        {"true": "class-0", "predicted": "class-1", "true_id": 0, "predicted_id": 1, "count": 1},
        {"true": "class-2", "predicted": "class-0", "true_id": 2, "predicted_id": 0, "count": 1},
    ]


def test_many_classes_stay_sparse() -> None:
    classes = 21_841
    data = draw(7, 200, 50)
    data["true_ids"] = data["true_ids"] * 400
    data["predicted_ids"] = data["predicted_ids"] * 400
    state = ClassificationState.from_arrays(classes, ImageArrays(**data))
    assert len(state.cells) <= 200
    matrix = report(state, 200).confusion_matrix
    assert classes > DENSE_CLASSES and isinstance(matrix, dict)
    assert (matrix["format"], matrix["shape"]) == ("coo", [classes, classes])
    assert sum(matrix["counts"]) == state.scored
    assert json.loads(json.dumps(matrix)) == matrix


def test_the_report_is_json() -> None:
    _, result = whole(8, 50, 4)
    text = json.dumps(result.to_dict(), allow_nan=False)
    assert json.loads(text)["metrics"] == result.metrics


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("true_ids", 10, "true_ids of a scored row is 10. Expected 0 to 9"),
        ("predicted_ids", -1, "predicted_ids of a scored row is -1. Expected 0 to 9"),
        ("confidence", 1.5, "confidence of a scored row is 1.5. Expected 0 to 1"),
    ],
)
def test_values_out_of_range_are_refused(name: str, value: float, message: str) -> None:
    data = draw(9, 20, 10)
    data["scored"][:] = True
    data[name][3] = value
    with pytest.raises(ValueError, match=message):
        ClassificationState.from_arrays(10, ImageArrays(**data))


def test_arguments_that_contradict_each_other_are_refused() -> None:
    data = draw(10, 20, 3)
    data["loss"] = data["loss"][:-1]
    with pytest.raises(ValueError, match="Expected arrays of one length"):
        ClassificationState.from_arrays(3, ImageArrays(**data))
    state = ClassificationState.empty(3)
    with pytest.raises(ValueError, match=r"1 class names\. Expected 3"):
        compute(state, ["a"], ClassificationOptions(), total_images=0, failed_images=0)
    with pytest.raises(ValueError, match="Expected scored \\+ failed <= total"):
        report(state, 1, failed=2)
    with pytest.raises(ValueError, match=r"10 confidence bins\. Expected 15"):
        report(ClassificationState.empty(3, 10), 0)
    with pytest.raises(ValueError, match="Expected one number of classes"):
        state.merge(ClassificationState.empty(4))
