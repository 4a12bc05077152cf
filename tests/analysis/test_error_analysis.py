"""The errors of a classifier, from its result files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from snellen.adapters.errors import ConfigError, InputError, RunInterrupted
from snellen.analysis.error_analysis import ErrorAnalysis, InstanceQuery
from snellen.analysis.reader import open_results
from snellen.metrics.errors.counts import MistakeSummary
from snellen.pipelines.progress import Reporter
from snellen.pipelines.runs.runner import TestRunner
from snellen.store.runs import get_test_run
from snellen.store.sql.database import Database
from snellen.store.views import RunView
from tests.pipelines.making import grey_folder, pixel_config


class Place:
    """A run of 30 images of three classes, one of which cannot be read, in units of four."""

    def __init__(self, folder: Path) -> None:
        self.config = pixel_config(grey_folder(folder / "data", each=10), folder / "out")
        (folder / "data" / "1" / "02.png").write_bytes(b"")
        self.url = f"sqlite:///{folder / 'runs.db'}"
        self.db = Database.open(self.url)

    def run(self, reporter: Reporter | None = None) -> RunView:
        return TestRunner(self.config, database=self.url, reporter=reporter).run_test()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    return Place(tmp_path_factory.mktemp("errors"))


@pytest.fixture(scope="module")
def run(place: Place) -> RunView:
    return place.run()


@pytest.fixture(scope="module")
def rows(place: Place, run: RunView) -> list[dict[str, Any]]:
    return open_results(place.db, run).frame().to_dicts()


@pytest.fixture
def analysis(place: Place, run: RunView) -> ErrorAnalysis:
    return ErrorAnalysis(place.db, run)


def test_every_cell_lists_its_images(
    analysis: ErrorAnalysis, run: RunView, rows: list[dict[str, Any]]
) -> None:
    assert run.class_names is not None
    for true, counts in zip(run.class_names, run.confusion_matrix, strict=True):
        for predicted, count in zip(run.class_names, counts, strict=True):
            page = analysis.instances(InstanceQuery(true=true, predicted=predicted))
            assert (page.total, page.images, len(page.instances)) == (count, count, count)
            assert [one.image_id for one in page.instances] == [
                row["image_id"]
                for row in rows
                if (row["true_label"], row["predicted_label"]) == (true, predicted)
            ]
        assert analysis.instances(InstanceQuery(true=true)).total == sum(counts)
    assert analysis.instances(InstanceQuery(predicted=0)).total == sum(
        row[0] for row in run.confusion_matrix
    )


def test_the_most_confused_pairs_have_examples(
    analysis: ErrorAnalysis, run: RunView, rows: list[dict[str, Any]]
) -> None:
    found = analysis.summary(top=4)
    assert isinstance(found, MistakeSummary)
    assert found.mistakes == sum(row["is_correct"] is False for row in rows)
    expected = (run.details or {})["most_confused"][:4]
    assert [
        {"true": p.true, "predicted": p.predicted, "true_id": p.true_id,
         "predicted_id": p.predicted_id, "count": p.count}
        for p in found.most_confused
    ] == expected  # fmt: skip
    for pair in found.most_confused:
        of_class = [r for r in rows if r["true_label"] == pair.true and r["status"] == "ok"]
        assert pair.share == pair.count / len(of_class)
        wrong = [r for r in of_class if r["predicted_label"] == pair.predicted]
        wrong.sort(key=lambda row: -row["confidence"])
        assert [one.image_id for one in pair.examples] == [r["image_id"] for r in wrong[:3]]


def test_the_most_confident_mistakes(analysis: ErrorAnalysis, rows: list[dict[str, Any]]) -> None:
    found = analysis.summary(top=3)
    assert isinstance(found, MistakeSummary)
    wrong = sorted((r for r in rows if r["is_correct"] is False), key=lambda r: -r["confidence"])
    assert [one.image_id for one in found.most_confident] == [r["image_id"] for r in wrong[:3]]


def test_pages_and_orders(analysis: ErrorAnalysis) -> None:
    every = analysis.instances(InstanceQuery(true="1", sort="confidence")).instances
    confidences = [one.predicted.confidence for one in every if one.predicted]
    assert confidences == sorted(confidences, key=lambda value: -(value or 0))
    page = analysis.instances(InstanceQuery(true="1", sort="confidence", offset=2, limit=3))
    assert page.instances == every[2:5]


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        ({}, "INSTANCES_OF"),
        ({"bucket": "Cls", "true": "1"}, "INSTANCES_OF"),
        ({"bucket": "Cls"}, "BUCKET_TASK"),
        ({"bucket": "cls"}, "BUCKET_UNKNOWN"),
        ({"true": "5"}, "CLASS_UNKNOWN"),
        ({"true": "background"}, "CLASS_UNKNOWN"),
        ({"true": "1", "sort": "size"}, "SORT_ORDER"),
        ({"true": "1", "min_confidence": 0.5}, "MIN_CONFIDENCE"),
        ({"true": "1", "min_confidence": 0.0}, "MIN_CONFIDENCE"),
    ],
)
def test_what_there_is_no_list_of(
    analysis: ErrorAnalysis, asked: dict[str, Any], code: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        analysis.instances(InstanceQuery(**asked))
    assert caught.value.code == code
    with pytest.raises(ConfigError, match="a minimum confidence applies to objects"):
        analysis.summary(min_confidence=0.5)
    with pytest.raises(ConfigError, match="a minimum confidence applies to objects"):
        analysis.summary(min_confidence=0.0)


def test_a_run_that_is_not_whole_has_no_analysis(tmp_path: Path) -> None:
    class Stopping(Reporter):
        def advance(self, *_: object) -> None:
            raise KeyboardInterrupt

    place = Place(tmp_path)
    with pytest.raises(RunInterrupted):
        place.run(Stopping())
    with pytest.raises(InputError, match="snellen resume 1") as caught:
        ErrorAnalysis(place.db, get_test_run(place.db, 1))
    assert caught.value.code == "RUN_NOT_COMPLETED"
