"""Suspects of whole runs, with label errors planted in their datasets."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from snellen.adapters.errors import ConfigError, InputError
from snellen.analysis.reader import open_results
from snellen.analysis.suspects.label_search import Suspects, find_suspects
from snellen.analysis.suspects.saved import save_suspects
from snellen.pipelines.config.loader import build_config
from snellen.pipelines.progress import Reporter
from snellen.pipelines.runs.runner import TestRunner
from snellen.store.sql.database import Database
from snellen.store.views import RunView
from tests.pipelines.box_adapter import NAME, box_dataset
from tests.pipelines.making import grey_folder, pixel_config, write_image

RIGHT = ((0, 0, 0), (1, 12, 12))
PLANTED = (RIGHT, ((1, 0, 0), (1, 12, 12)), RIGHT, ((1, 12, 12),), RIGHT, (*RIGHT, (0, 14, 0)))
"""Per image the class, left and top of its objects. Image 1 has a dog where every run sees a cat, 3
lacks the cat, 5 has a cat where nothing is seen."""


class Planted:
    """Two runs on a dataset with three wrong labels."""

    def __init__(self, folder: Path, grey: int = 100) -> None:
        self.url = f"sqlite:///{folder.parent / 'runs.db'}"
        self.folder = folder
        self.path = box_dataset(folder / "data", PLANTED)
        for number in range(len(PLANTED)):
            write_image(folder / "data" / "images" / f"{number}.png", grey, size=(24, 24))
        self.runs = [self.run(rows) for rows in (2, 4)]
        self.db = Database.open(self.url)

    def run(self, rows: int, **dataset: Any) -> RunView:
        config: dict[str, Any] = {
            "model": {"adapter": NAME},
            "dataset": {"path": str(self.path), "format": "coco", **dataset},
            "run": {"engine": "inline", "unit_rows": rows},
            "output": {"dir": str(self.folder / "out")},
            "metrics": {"bootstrap": 0},
        }
        return TestRunner(build_config(config), database=self.url).run_test()


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Planted:
    return Planted(tmp_path_factory.mktemp("planted") / "first")


def kinds(found: Suspects) -> list[tuple[str, str, str | None, str | None]]:
    return [(one.kind, one.image_id, one.true_label, one.predicted_label) for one in found.found]


@pytest.mark.parametrize("count", [1, 2])
def test_planted_errors_are_found_and_nothing_else(count: int, planted: Planted) -> None:
    db, runs = planted.db, planted.runs
    found = find_suspects(db, runs[:count], Reporter())
    assert sorted(kinds(found)) == [
        ("missing_label", "3.png", None, "cat"),
        ("unseen_label", "5.png", "cat", None),
        ("wrong_class", "1.png", "dog", "cat"),
    ]
    assert (found.images, found.left_out) == (6, {})
    assert [one.score for one in found.found] == sorted(
        (o.score for o in found.found), reverse=True
    )
    document = found.to_json(limit=1, kind="missing_label")
    assert document["counts"] == {"wrong_class": 1, "missing_label": 1, "unseen_label": 1}
    assert [one["image_id"] for one in document["suspects"]] == ["3.png"]
    assert document["min_confidence"] == (0.8 if count == 1 else 0.5)


def test_a_higher_confidence_denies_fewer_labels(
    planted: Planted,
) -> None:
    found = find_suspects(planted.db, planted.runs, Reporter(), min_confidence=0.95)
    assert kinds(found) == [("unseen_label", "5.png", "cat", None)]


def test_images_that_every_run_classifies_differently(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'runs.db'}"
    config = pixel_config(grey_folder(tmp_path / "data"), tmp_path / "out")
    runs = [TestRunner(config, database=url).run_test() for _ in range(2)]
    db = Database.open(url)
    rows = open_results(db, runs[0]).frame()
    wrong = rows.filter(pl.col("is_correct").not_() & (pl.col("confidence") >= 0.55))
    expected = wrong.sort("confidence", "image_index", descending=[True, False])
    found = find_suspects(db, runs, Reporter(), min_confidence=0.55)
    assert [one.image_id for one in found.found] == expected["image_id"].to_list()
    assert 0 < len(found.found) < rows.height
    assert {one.kind for one in found.found} == {"wrong_class"}
    first = found.found[0]
    assert (first.true_label, first.predicted_label, first.score) == (
        expected["true_label"][0], expected["predicted_label"][0], expected["confidence"][0],
    )  # fmt: skip


def test_images_that_are_not_common_are_counted(planted: Planted) -> None:
    first, second = planted.runs
    found = find_suspects(planted.db, [first, planted.run(2, limit=3)], Reporter())
    assert (found.images, found.left_out) == (3, {"not_in_all_runs": 3})
    with pytest.raises(InputError, match="Expected one task"):
        other = replace(second, task_type="image_classification")
        find_suspects(planted.db, [first, other], Reporter())
    with pytest.raises(InputError, match="snellen resume"):
        find_suspects(planted.db, [replace(first, status="failed")], Reporter())


def test_images_of_the_same_name_and_other_content_are_not_common(planted: Planted) -> None:
    changed = Planted(planted.folder.parent / "second", grey=50)
    with pytest.raises(InputError, match="'other_content': 6") as caught:
        find_suspects(planted.db, [planted.runs[0], changed.runs[0]], Reporter())
    assert caught.value.code == "COMPARE_NOTHING"


@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".json"])
def test_files(suffix: str, planted: Planted, tmp_path: Path) -> None:
    db, runs = planted.db, planted.runs
    found = find_suspects(db, runs, Reporter())
    results = open_results(db, runs[0])
    path = save_suspects(found.found, results, tmp_path / f"suspects{suffix}")
    ids = [one.image_id for one in found.found]
    if suffix == ".parquet":
        frame = pl.read_parquet(path)
        assert frame["image_id"].to_list() == ids
        assert frame["kind"].to_list() == [one.kind for one in found.found]
    elif suffix == ".csv":
        with path.open(encoding="utf-8", newline="") as file:
            assert [row["image_id"] for row in csv.DictReader(file)] == ids
    else:
        tasks = json.loads(path.read_text(encoding="utf-8"))
        assert [task["data"]["image_id"] for task in tasks] == ids
        for task, one in zip(tasks, found.found, strict=True):
            (region,) = task["predictions"][0]["result"]
            assert region["value"]["rectanglelabels"] == [one.predicted_label or one.true_label]
            assert one.box is not None
            assert region["value"]["x"] * 24 / 100 == pytest.approx(one.box[0])
    with pytest.raises(InputError, match="exists"):
        save_suspects(found.found, results, path)
    assert save_suspects([], results, path, overwrite=True) == path
    with pytest.raises(ConfigError, match=r"does not end in \.parquet, \.csv, \.json"):
        save_suspects([], results, tmp_path / "suspects.txt")
