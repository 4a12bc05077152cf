"""Buckets and cells list their objects, on runs of every task with objects."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest

import snellen
from examples.shapes.make_dataset import CLASSES, make
from snellen.adapters.errors import ConfigError
from snellen.analysis.rescore import rescore_run
from snellen.cli.main import run as command
from snellen.metrics.detection.tide import BUCKETS
from snellen.metrics.errors.counts import BucketSummary
from snellen.metrics.errors.instance_views import Instance, Side
from snellen.pipelines.progress import Reporter
from snellen.store.runs import get_test_run
from snellen.store.sql.database import Database

pytestmark = pytest.mark.slow

FIXTURES = Path(__file__).parents[1] / "fixtures"
TASKS = ("detect", "segment", "pose")
SIDES = [*CLASSES, "background"]
ALL = 100_000


class Place:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.url = f"sqlite:///{folder / 'runs.db'}"
        make(folder, counts={"test": 12, "val": 1}, seed=5)

    def evaluate(self, task: str) -> snellen.TestRun:
        return snellen.evaluate(
            {
                "name": task,
                "model": {
                    "adapter": "ultralytics",
                    "checkpoint": str(FIXTURES / f"tiny-{task}.pt"),
                },
                "dataset": {"path": str(self.folder / task / "data.yaml"), "split": "test"},
                "run": {"engine": "inline", "unit_rows": 5, "batch_size": 5},
                "metrics": {"bootstrap": 0, "slices": ["object_count"]},
                "output": {"dir": str(self.folder / "out")},
                "database": self.url,
            }
        )


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    return Place(tmp_path_factory.mktemp("shapes"))


@pytest.fixture(scope="module")
def run(place: Place) -> Callable[[str], snellen.TestRun]:
    return cache(place.evaluate)


def check(side: Side | None, boxes: list[dict[str, Any]]) -> None:
    """Check that an instance refers to the box of its row that it describes."""
    if side is None:
        return
    assert side.index is not None
    box = boxes[side.index]
    assert side.box == tuple(box[corner] for corner in ("x1", "y1", "x2", "y2"))
    assert (side.class_id, side.label) == (box["class_id"], CLASSES[box["class_id"]])
    assert side.confidence == box.get("confidence")


def check_all(instances: list[Instance], rows: list[dict[str, Any]]) -> None:
    for one in instances:
        row = rows[one.image_index]
        assert one.image_id == row["image_id"]
        check(one.true, row["true_boxes"])
        check(one.predicted, row["predicted_boxes"])


@pytest.mark.parametrize("task", TASKS)
def test_every_cell_lists_what_it_counts(task: str, run: Callable[[str], snellen.TestRun]) -> None:
    tested = run(task)
    rows = tested.results().to_dicts()
    for true, counts in zip(SIDES, tested.confusion_matrix, strict=True):
        for predicted, count in zip(SIDES, counts, strict=True):
            page = tested.instances(true=true, predicted=predicted, limit=ALL)
            assert (page.total, len(page.instances)) == (count, count), (true, predicted)
            assert page.images == len({one.image_index for one in page.instances})
            check_all(page.instances, rows)
            for one in page.instances:
                assert (one.true.label if one.true else "background") == true
                assert (one.predicted.label if one.predicted else "background") == predicted
    right = sum(tested.instances(true=name, predicted=name).total for name in CLASSES)
    assert right == sum(row["tp"] for row in rows) > 0


@pytest.mark.parametrize("task", TASKS)
def test_every_bucket_lists_what_it_counts(
    task: str, run: Callable[[str], snellen.TestRun]
) -> None:
    tested = run(task)
    rows = tested.results().to_dicts()
    assert tested.row.details is not None
    tide = tested.row.details["tide"]
    summary = tested.errors(min_confidence=0)
    assert isinstance(summary, BucketSummary)
    assert summary.ap == tide["ap"]
    assert {one.bucket: one.count for one in summary.buckets} == tide["counts"]
    assert {one.bucket: one.delta_ap for one in summary.buckets} == tide["delta_ap"]
    for one in summary.buckets:
        page = tested.instances(bucket=one.bucket, limit=ALL, min_confidence=0)
        assert (page.total, page.images) == (one.count, one.images)
        assert len(page.instances) == one.count
        assert {listed.bucket for listed in page.instances} <= {one.bucket}
        check_all(page.instances, rows)
    assert sum(tide["counts"].values()) > 0


def test_at_the_operating_point_the_errors_are_the_rows_own(
    run: Callable[[str], snellen.TestRun],
) -> None:
    tested = run("detect")
    rows = tested.results().to_dicts()
    summary = tested.errors()
    assert isinstance(summary, BucketSummary)
    assert summary.min_confidence == 0.25
    assert sum(one.count for one in summary.buckets if one.bucket != "Miss") == sum(
        row["fp"] for row in rows
    )
    assert summary == tested.errors(min_confidence=0.25)
    page = tested.instances(bucket="Cls", sort="confidence")
    assert page == tested.instances(bucket="Cls", min_confidence=0.25, sort="confidence")
    confidences = [one.predicted.confidence for one in page.instances if one.predicted]
    assert all(value is not None and value >= 0.25 for value in confidences)
    assert confidences == sorted(confidences, key=lambda value: -(value or 0))


def test_a_rescore_has_the_cells_of_its_own_operating_point(
    place: Place, run: Callable[[str], snellen.TestRun]
) -> None:
    db = Database.open(place.url)
    words = ["metrics.operating_confidence=0.6", "metrics.operating_iou=0.8"]
    new = rescore_run(db, get_test_run(db, run("detect").id), words, Reporter())
    again = snellen.open_run(new.id, database=place.url)
    assert again.confusion_matrix != run("detect").confusion_matrix
    for true, counts in zip(SIDES, again.confusion_matrix, strict=True):
        for predicted, count in zip(SIDES, counts, strict=True):
            assert again.instances(true=true, predicted=predicted).total == count


def test_the_command_line_says_the_same(
    place: Place, run: Callable[[str], snellen.TestRun], capfd: pytest.CaptureFixture[str]
) -> None:
    tested = run("detect")

    def printed(*words: str, code: int = 0) -> str:
        capfd.readouterr()
        assert command([*words, "--database", place.url]) == code
        return capfd.readouterr().out

    document = json.loads(printed("errors", "detect", "--json"))
    limits = {"min_confidence", "class_confidences"}
    assert set(document) == {"id", "name", "task_type", "ap", "buckets", *limits}
    assert [one["bucket"] for one in document["buckets"]] == list(BUCKETS)
    words: tuple[str, ...] = (
        "errors",
        "detect",
        "--bucket",
        "Loc",
        "--limit",
        "2",
        "--offset",
        "1",
    )
    page = json.loads(printed(*words, "--json"))
    assert set(page) == {"id", "name", "bucket", "offset", "total", "images", "instances"}
    assert page["total"] == tested.instances(bucket="Loc").total
    listed = tested.instances(bucket="Loc", offset=1, limit=2).instances
    assert [one["image_index"] for one in page["instances"]] == [one.image_index for one in listed]
    words = ("errors", "detect", "--true", "circle", "--predicted", "background")
    page = json.loads(printed(*words, "--json"))
    assert page["total"] == tested.confusion_matrix[0][-1]
    assert {one["predicted"] for one in page["instances"]} <= {None}
    for table, expected in (
        (printed("errors", "detect"), "Dupe"),
        (printed("errors", "detect", "--bucket", "Bkg"), "errors in bucket Bkg"),
        (printed(*words), "true circle, predicted background"),
        (printed("show", "detect", "--confusion"), "background"),
        (printed("show", "detect"), "by object_count"),
        (printed("images", "detect", "--class", "circle"), "images/test/"),
    ):
        assert expected in table
    page = json.loads(printed("images", "detect", "--class", "circle", "--json"))
    assert page["total"] == sum(
        any(box["class_id"] == 0 for box in row["true_boxes"])
        for row in tested.results().to_dicts()
    )


def test_ids_and_names_are_the_same_class(run: Callable[[str], snellen.TestRun]) -> None:
    tested = run("detect")
    assert tested.instances(true=0, predicted=1) == tested.instances(
        true="circle", predicted="square"
    )
    with pytest.raises(ConfigError, match="did you mean circle"):
        tested.instances(true="cirle")
