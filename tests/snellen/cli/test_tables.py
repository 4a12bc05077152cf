"""Tables of runs: columns with values only, and the preprocessing in words."""

from __future__ import annotations

from typing import Any

import pytest
from rich.console import Console
from rich.table import Table

from snellen.cli.jobs.tables import jobs_table
from snellen.cli.results.tables import preprocessing_text, run_tables, runs_table, short_path
from tests.snellen.command_line import Cli


def printed(table: Any) -> str:
    console = Console(width=300)
    with console.capture() as captured:
        console.print(table)
    return captured.get()


def run_of(**columns: Any) -> dict[str, Any]:
    known = dict.fromkeys(
        (
            *("id", "name", "status", "metrics", "intervals", "per_class_metrics", "details"),
            *("total_images", "scored_images", "failed_images", "primary_metric_name"),
            *("primary_metric_value", "dataset_path", "checkpoint_path", "started_at", "config"),
        )
    )
    return {**known, "id": 1, "status": "completed", **columns}


def header(table: Table) -> list[str]:
    return [str(column.header) for column in table.columns]


def test_classes_of_a_detector_have_their_average_precision_and_no_column_of_dashes() -> None:
    detected = {
        "AP": 0.5, "AP50": 0.7, "AP75": 0.6, "AR_100": 0.8, "precision": 0.9, "recall": 0.4,
        "f1": 0.55, "support": 3,
    }  # fmt: skip
    never = dict.fromkeys(detected) | {"support": 0}
    _, table = run_tables(run_of(per_class_metrics={"cat": detected, "dog": never}), per_class=True)
    assert isinstance(table, Table)
    assert header(table) == [
        *("class", "AP50-95", "AP50", "AR", "precision", "recall", "f1", "support"),
    ]


def test_average_precision_at_other_limits_says_so() -> None:
    values = {"AP@500": 0.5, "AP50@500": 0.7, "AR_500": 0.8, "support": 3}
    _, table = run_tables(run_of(per_class_metrics={"cat": values}), per_class=True)
    assert isinstance(table, Table)
    assert header(table) == ["class", "AP50-95@500", "AP50@500", "support"]


@pytest.mark.parametrize(("count", "said"), [(0, True), (3, False), (None, False)])
def test_a_run_without_objects_that_count_says_so(count: int | None, said: bool) -> None:
    details = None if count is None else {"counted_objects": count}
    (table,) = run_tables(run_of(metrics={"mAP50-95": None}, details=details))
    assert ("no ground truth objects count" in printed(table)) == said


def test_classes_of_a_classifier_have_the_number_of_predictions() -> None:
    values = {"precision": 0.9, "recall": 0.4, "f1": 0.55, "support": 3, "predicted": 2}
    _, table = run_tables(run_of(per_class_metrics={"cat": values}), per_class=True)
    assert isinstance(table, Table)
    assert header(table) == ["class", "precision", "recall", "f1", "support", "predicted"]


def test_runs_show_dataset_checkpoint_and_metric() -> None:
    table = runs_table(
        [
            run_of(
                name="mine",
                primary_metric_name="accuracy",
                primary_metric_value=0.5,
                dataset_path="/data/set/val",
                checkpoint_path="/models/run/weights/best.pt",
            )
        ]
    )
    line = printed(table).splitlines()[3]
    for text in ("mine", "accuracy 0.5000", "set/val", "weights/best.pt"):
        assert text in line


@pytest.mark.parametrize(
    ("path", "short"),
    [("/a/b/c", "b/c"), ("c", "c"), ("s3://bucket/set/", "bucket/set"), (None, "-")],
)
def test_a_path_is_shortened_to_its_last_parts(path: str | None, short: str) -> None:
    assert short_path(path) == short


def test_the_preprocessing_is_one_line_with_its_source() -> None:
    settings = {
        "input_size": (3, 288, 288), "crop_pct": 0.95, "interpolation": "bicubic",
        "mean": [0.485, 0.5], "end2end": False, "kpt_shape": None, "source": "timm test config",
    }  # fmt: skip
    assert preprocessing_text(settings) == (
        "input_size 3 x 288 x 288, crop_pct 0.95, interpolation bicubic, mean [0.485, 0.5], "
        "end2end false (from timm test config)"
    )


def test_piped_tables_do_not_wrap(cli: Cli) -> None:
    assert cli("eval", cli.config(name="a-name-of-a-run-that-is-rather-long" * 3))[0] == 0
    _, out, _ = cli("runs")
    assert "a-name-of-a-run-that-is-rather-long" * 3 in out


def test_jobs_show_their_dataset_and_best_metric() -> None:
    job = {
        "id": 3, "name": "mine", "framework": "timm", "task_type": "image_classification",
        "model_name": "resnet18", "checkpoints": [{"name": "best", "metric": 0.75}],
    }  # fmt: skip
    line = printed(jobs_table([job], {3: "/data/pets/train"})).splitlines()[3]
    assert "pets/train" in line
    assert "0.7500" in line
