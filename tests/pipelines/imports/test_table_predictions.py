"""Imports of CSV and Parquet tables: classes, probabilities and boxes."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import accuracy_score, log_loss, top_k_accuracy_score

from snellen.adapters.errors import InputError
from snellen.analysis.reader import open_results
from tests.analysis.conftest import detected
from tests.analysis.detected import COUNTS, Detected
from tests.pipelines.box_adapter import BOXES, CLASSES
from tests.pipelines.imports.importing import Importing
from tests.pipelines.making import grey_folder

__all__ = ["detected"]

NAMES = tuple("abcdefg")


@pytest.fixture(scope="module")
def classes(tmp_path_factory: pytest.TempPathFactory) -> Importing:
    folder = tmp_path_factory.mktemp("classes")
    grey_folder(folder / "data", NAMES, each=3)
    return Importing(folder, {"format": "imagefolder", "path": str(folder / "data")})


def images() -> list[str]:
    return [f"{name}/{number:02}.png" for name in NAMES for number in range(3)]


def probabilities(seed: int = 0) -> Any:
    values = np.random.default_rng(seed).dirichlet(np.ones(len(NAMES)) * 0.4, len(images()))
    return np.round(values, 4) / np.round(values, 4).sum(axis=1, keepdims=True)


def table(importing: Importing, columns: dict[str, Any], suffix: str = ".csv") -> Path:
    path = importing.folder / f"table-{len(list(importing.folder.iterdir()))}{suffix}"
    frame = pl.DataFrame(columns)
    if suffix == ".csv":
        frame.write_csv(path)
    else:
        frame.write_parquet(path)
    return path


TRUE = [number for number in range(len(NAMES)) for _ in range(3)]


@pytest.mark.parametrize("form", ["columns", "prefixed", "list", "text"])
def test_probabilities_give_all_metrics(classes: Importing, form: str) -> None:
    values = probabilities()
    columns: dict[str, Any] = {"image_id": images()}
    if form in ("columns", "prefixed"):
        prefix = "prob_" if form == "prefixed" else ""
        columns |= {f"{prefix}{name}": values[:, k] for k, name in enumerate(NAMES)}
    else:
        listed = [row.tolist() for row in values]
        columns["probabilities"] = [str(row) for row in listed] if form == "text" else listed
    run = classes.run(table(classes, columns, ".parquet" if form == "list" else ".csv"))
    metrics = run.metrics
    assert metrics is not None
    assert metrics["accuracy"] == pytest.approx(accuracy_score(TRUE, values.argmax(axis=1)))
    top5 = top_k_accuracy_score(TRUE, values, k=5, labels=range(len(NAMES)))
    assert metrics["top5_accuracy"] == pytest.approx(top5)
    assert metrics["loss"] == pytest.approx(log_loss(TRUE, values, labels=range(7)), rel=1e-5)
    row = open_results(classes.db, run).frame().to_dicts()[4]
    order = np.argsort(-values[4])
    assert [one["label_id"] for one in row["top5_predictions"]] == order[:5].tolist()
    assert row["true_confidence"] == pytest.approx(values[4, TRUE[4]], rel=1e-6)


def test_labels_alone(classes: Importing) -> None:
    values = probabilities()
    predicted = [NAMES[k] for k in values.argmax(axis=1)]
    columns = {"path": images(), "prediction": predicted}
    run = classes.run(table(classes, columns))
    assert run.metrics is not None
    assert run.metrics["accuracy"] == pytest.approx(accuracy_score(TRUE, values.argmax(axis=1)))
    # what the file does not say is null, not wrong
    assert [run.metrics[key] for key in ("top5_accuracy", "loss", "ece")] == [None] * 3
    confident = {**columns, "confidence": values.max(axis=1)}
    again = classes.run(table(classes, confident))
    assert again.metrics is not None
    assert again.metrics["ece"] is not None and again.metrics["loss"] is None
    numbers = {"path": images(), "prediction": values.argmax(axis=1).tolist()}
    ids = classes.run(table(classes, numbers))
    assert ids.confusion_matrix == run.confusion_matrix


def test_images_without_a_prediction_are_failed_rows(classes: Importing) -> None:
    columns = {"image_id": images()[2:], "label": ["a"] * 19, "score": [0.5] * 19}
    run = classes.run(table(classes, columns))
    rows = open_results(classes.db, run).frame(["status", "error_code", "true_label"]).rows()
    assert rows[:3] == [("failed", "PREDICTION_MISSING", "a")] * 2 + [("ok", None, "a")]
    assert run.metrics is not None
    assert run.metrics["coverage"] == 19 / 21
    report = (run.dataset_report or {})["predictions"]
    assert report["warnings"] == ["2 of 21 images have no prediction: they are failed rows"]


def test_what_is_not_used_is_counted(classes: Importing) -> None:
    values = probabilities()
    values[0] = np.nan
    columns = {"image_id": images(), **{name: values[:, k] for k, name in enumerate(NAMES)}}
    columns["image_id"] = [*images()[:-1], "z/99.png"]
    report = (classes.run(table(classes, columns)).dataset_report or {})["predictions"]
    assert report["ignored"] == {"not_finite": 1, "unknown_image": 1}
    labels = {"image_id": images(), "label": ["a"] * 19 + ["zebra", None]}
    report = (classes.run(table(classes, labels)).dataset_report or {})["predictions"]
    assert report["ignored"] == {"unknown_class": 2}


def test_a_probability_of_zero_leaves_no_loss(classes: Importing) -> None:
    values = np.eye(len(NAMES))[[1] * 21]
    columns = {"image_id": images(), **{name: values[:, k] for k, name in enumerate(NAMES)}}
    run = classes.run(table(classes, columns))
    assert run.metrics is not None and run.metrics["loss"] is None
    warnings = (run.dataset_report or {})["predictions"]["warnings"]
    assert warnings == [
        "an image has a probability of 0 for its true class: the loss is not defined"
    ]


def test_classes_may_be_merged(classes: Importing) -> None:
    values = probabilities()
    columns = {"image_id": images(), **{name: values[:, k] for k, name in enumerate(NAMES)}}
    merge = {"model": {"class_map": {"a": "vowel", "e": "vowel"}}}
    run = classes.run(table(classes, columns), config=merge)
    merged = np.column_stack([values[:, [0, 4]].sum(axis=1), values[:, [1, 2, 3, 5, 6]]])
    true = [{0: 0, 4: 0, 1: 1, 2: 2, 3: 3, 5: 4, 6: 5}[one] for one in TRUE]
    assert run.metrics is not None
    assert run.metrics["accuracy"] == pytest.approx(accuracy_score(true, merged.argmax(axis=1)))
    assert run.metrics["loss"] == pytest.approx(log_loss(true, merged, labels=range(6)), rel=1e-5)


@pytest.mark.parametrize(
    ("columns", "code", "says"),
    [
        ({"image_id": ["a/00.png"] * 2, "label": ["a", "b"]}, "IMPORT_DUPLICATE", "more than one"),
        ({"image_id": ["a/00.png"], "label": ["a"], "score": [93.0]}, "IMPORT_SCORES", "score 93"),
        ({"number": [1], "label": ["a"]}, "IMPORT_COLUMNS", "for the image"),
        ({"image_id": ["a/00.png"], "value": [1]}, "IMPORT_COLUMNS", "for the predicted label"),
        ({"image_id": ["a/00.png"], "probabilities": ["[0.5, 0.5]"]}, "IMPORT_PROBABILITIES",
         "has 2 probabilities. Expected 7"),
        ({"image_id": ["a/00.png"], **{name: [2.5] for name in NAMES}}, "IMPORT_PROBABILITIES",
         "Apply the softmax"),
        ({"image_id": ["a/00.png"], "label": [7]}, "CLASS_IDS_SHIFTED", "--first-class 1"),
    ],
)  # fmt: skip
def test_tables_that_cannot_be_trusted_are_rejected(
    classes: Importing, columns: dict[str, Any], code: str, says: str
) -> None:
    with pytest.raises(InputError, match=says) as caught:
        classes.run(table(classes, columns))
    assert caught.value.code == code


def test_columns_may_be_named(classes: Importing) -> None:
    columns = {"uri": images(), "guess": [NAMES[k] for k in TRUE], "sure": [0.9] * 21}
    named = {"image": "uri", "label": "guess", "confidence": "sure"}
    run = classes.run(table(classes, columns), columns=named)
    assert run.metrics is not None and run.metrics["accuracy"] == 1.0
    with pytest.raises(InputError, match=r"--columns label=guesses.*did you mean guess"):
        classes.run(table(classes, columns), columns={**named, "label": "guesses"})


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_boxes_in_a_table(detected: Detected, tmp_path: Path, suffix: str) -> None:
    dataset = detected.config.dataset.model_dump(mode="json", exclude_unset=True)
    importing = Importing(tmp_path, dataset)
    rows = [(f"{image}.png", CLASSES[k], *box) for image in range(4) for k, *box in BOXES]
    names = ("filename", "label", "xmin", "ymin", "xmax", "ymax", "score")
    columns = {name: [row[n] for row in rows] for n, name in enumerate(names)}
    columns["score"][0] = math.nan
    run = importing.run(table(importing, columns, suffix))
    found = open_results(importing.db, run).frame(["tp", "fp", "fn"]).rows()
    # without the first cat, whose score is no number
    assert found == [(1, 0, 1), *COUNTS[0.25][1:]]
    assert (run.dataset_report or {})["predictions"]["ignored"] == {"not_finite": 1}
