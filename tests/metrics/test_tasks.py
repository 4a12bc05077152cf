"""The metrics of a task, from the rows of its result files."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from snellen.adapters.errors import ConfigError
from snellen.adapters.types import TaskType
from snellen.metrics.tasks import TASKS, load

TOP5 = pa.list_(
    pa.struct([("label_id", pa.int32()), ("label", pa.string()), ("confidence", pa.float32())])
)
FIELDS: list[tuple[str, pa.DataType]] = [
    ("status", pa.string()),
    ("true_label_id", pa.int32()),
    ("predicted_label_id", pa.int32()),
    ("top5_predictions", TOP5),
    ("confidence", pa.float32()),
    ("true_confidence", pa.float32()),
    ("loss", pa.float32()),
]
SCHEMA = pa.schema(FIELDS)


def rows(*values: tuple[Any, ...]) -> pa.Table:
    """Rows of (status, true, predicted, ids of the best classes, confidence, loss)."""
    return pa.Table.from_pylist(
        [
            {
                "status": status,
                "true_label_id": true,
                "predicted_label_id": predicted,
                "top5_predictions": None
                if best is None
                else [{"label_id": i, "label": str(i), "confidence": 0.1} for i in best],
                "confidence": confidence,
                "true_confidence": None if loss is None else 0.5,
                "loss": loss,
            }
            for status, true, predicted, best, confidence, loss in values
        ],
        schema=SCHEMA,
    )


def test_every_task_of_the_table_loads() -> None:
    for task in TASKS:
        assert load(task).columns
    assert set(TASKS) == set(TaskType)
    assert load(TaskType.IMAGE_CLASSIFICATION).columns == tuple(SCHEMA.names)


def test_a_task_without_metrics_lists_those_with() -> None:
    expected = "'poetry' has no metrics. Expected one of image_classification, .*object_detection"
    with pytest.raises(ConfigError, match=expected) as caught:
        load("poetry")
    assert caught.value.code == "UNKNOWN_TASK"


def test_units_are_counted_merged_and_computed() -> None:
    metrics, names = load("image_classification"), ["a", "b", "c"]
    first = rows(
        ("ok", 0, 0, [0, 1, 2], 0.9, 0.25),
        ("failed", 1, None, None, None, None),
        ("ok", None, 1, [1, 0, 2], 0.8, None),  # no truth
    )
    second = rows(("ok", 2, 1, [1, 2, 0], 0.5, 0.75), ("ok", 1, 1, [1], 0.7, None))
    chunked = pa.concat_tables([second.slice(0, 1), second.slice(1)])
    states = [metrics.state(table, names) for table in (first, chunked, first.slice(0, 0))]
    report = metrics.compute(metrics.merge(states), names, total_images=5, failed_images=1)
    assert report.scored_images == 3
    assert report.metrics["accuracy"] == pytest.approx(2 / 3)
    assert report.metrics["top5_accuracy"] == 1.0
    assert report.loss == 0.5
    assert report.confusion_matrix == [[1, 0, 0], [0, 1, 0], [0, 1, 0]]
    assert report.metrics["coverage"] == 0.6


def test_a_unit_where_everything_failed_counts_nothing() -> None:
    state = load("image_classification").state(
        rows(("failed", None, None, None, None, None)), ["a", "b"]
    )
    assert state.scored == 0


def test_importing_the_metrics_brings_no_heavy_library() -> None:
    code = (
        "import snellen.metrics.tasks, snellen.metrics.detection.metrics, sys; "
        "print({'scipy', 'polars', 'torch', 'hotcoco'} & set(sys.modules))"
    )
    root = Path(__file__).parents[2]
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root
    )
    assert answer.stdout.strip() == "set()"
