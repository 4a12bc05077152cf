"""Metrics of some classes only: the images of these classes, whatever they were predicted as."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from sklearn.metrics import accuracy_score, precision_recall_fscore_support

from snellen.adapters.errors import ConfigError
from snellen.metrics.errors.classified import classified
from snellen.metrics.examples import classification_rows
from snellen.metrics.tasks import load

NAMES = ["a", "b", "c", "d"]


def rows(count: int = 200) -> pa.Table:
    """Draw predictions, 60 % of them right, and a failed image of each class."""
    random = np.random.default_rng(3)
    true = random.integers(0, len(NAMES), count)
    right = random.random(count) < 0.6
    predicted = np.where(right, true, random.integers(0, len(NAMES), count))
    failed = np.arange(count) < len(NAMES)
    true[failed] = np.arange(len(NAMES))
    like = classification_rows().schema
    values = {
        "status": np.where(failed, "failed", "ok").tolist(),
        "image_index": np.arange(count).tolist(),
        "image_id": [str(number) for number in range(count)],
        "true_label_id": true.tolist(),
        "predicted_label_id": [
            None if f else int(p) for f, p in zip(failed, predicted, strict=True)
        ],
        "confidence": [None if f else 0.5 for f in failed],
        "true_confidence": [None if f else 0.5 for f in failed],
        "loss": [None if f else float(t) for f, t in zip(failed, true, strict=True)],
        "top5_predictions": [
            None if f else [{"label_id": int(p), "label": "", "confidence": 0.5}]
            for f, p in zip(failed, predicted, strict=True)
        ],
    }
    return pa.table({name: pa.array(values[name], like.field(name).type) for name in like.names
                     if name in values})  # fmt: skip


@pytest.mark.parametrize("chosen", [["a"], ["b", "d"], NAMES], ids=str)
def test_scikit_learn_on_the_images_of_these_classes(chosen: list[str]) -> None:
    table = rows()
    ids = [NAMES.index(name) for name in chosen]
    metrics = load("image_classification", classes=chosen)
    parts = [metrics.state(table.slice(start, 50), NAMES) for start in range(0, 200, 50)]
    result = metrics.compute(metrics.merge(parts), NAMES, total_images=200, failed_images=4)
    kept = table.filter(
        pc.and_(pc.equal(table["status"], "ok"),
                pc.is_in(table["true_label_id"], pa.array(ids, pa.int32())))
    )  # fmt: skip
    true, predicted = (kept[f"{side}_label_id"].to_numpy() for side in ("true", "predicted"))
    assert result.metrics["accuracy"] == pytest.approx(accuracy_score(true, predicted))
    expected = precision_recall_fscore_support(
        true, predicted, labels=ids, average="macro", zero_division=0
    )
    for key, value in zip(("precision", "recall", "f1"), expected, strict=False):
        assert result.metrics[f"macro_{key}"] == pytest.approx(value)
    assert result.metrics["loss"] == pytest.approx(kept["loss"].to_numpy().mean())
    assert result.scored_images == len(kept)
    excluded = int((~np.isin(table["true_label_id"].to_numpy(), ids)).sum())
    assert result.details["classes"] == {"names": chosen, "excluded_images": excluded}
    assert result.metrics["coverage"] == pytest.approx(len(kept) / (200 - excluded))
    assert list(result.per_class) == chosen
    assert len(classified(table, ids).image) == len(kept)


def test_classes_without_images_have_no_metrics() -> None:
    metrics = load("image_classification", classes=["e"])
    names = [*NAMES, "e"]
    state = metrics.state(rows(), names)
    result = metrics.compute(state, names, total_images=200, failed_images=4)
    assert set(result.metrics.values()) == {None}


def test_an_unknown_class_names_the_nearest() -> None:
    metrics = load("image_classification", classes=["dog"])
    with pytest.raises(ConfigError, match="did you mean dogs") as caught:
        metrics.state(rows(), ["dogs", "b", "c", "d"])
    assert caught.value.code == "CLASS_UNKNOWN"
