"""Numbers of keypoints of model, dataset and sigmas that differ are rejected before inference."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import snellen
from examples.shapes.make_dataset import make
from snellen.adapters.errors import ConfigError
from snellen.analysis.rescore import rescore_run
from snellen.pipelines.progress import Reporter
from snellen.store.runs import get_test_run, list_test_runs
from snellen.store.sql.database import Database

FIXTURES = Path(__file__).parents[1] / "fixtures"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shapes")
    make(folder, counts={"test": 4, "val": 1}, seed=5)
    return folder


def evaluated(place: Path, dataset: dict[str, Any], **metrics: Any) -> snellen.TestRun:
    return snellen.evaluate(
        {
            "model": {"adapter": "ultralytics", "checkpoint": str(FIXTURES / "tiny-pose.pt")},
            "dataset": dataset,
            "run": {"engine": "inline"},
            "metrics": {"bootstrap": 0, **metrics},
            "output": {"dir": str(place / "out")},
            "database": f"sqlite:///{place / 'runs.db'}",
        }
    )


def test_sigmas_for_another_number(root: Path, tmp_path: Path) -> None:
    dataset = {"path": str(root / "pose" / "data.yaml"), "split": "test"}
    db = Database.open(f"sqlite:///{tmp_path / 'runs.db'}")
    with pytest.raises(ConfigError, match="has 3 numbers for 4 keypoints") as caught:
        evaluated(tmp_path, dataset, kpt_sigmas=[0.1, 0.1, 0.1])
    assert caught.value.code == "KEYPOINTS_MISMATCH"
    assert list_test_runs(db) == []
    run = evaluated(tmp_path, dataset, kpt_sigmas=[0.1] * 4)
    words = ["metrics.kpt_sigmas=[0.1,0.1,0.1]"]
    with pytest.raises(ConfigError, match="has 3 numbers for 4 keypoints"):
        rescore_run(db, get_test_run(db, run.id), words, Reporter())


def test_a_dataset_of_other_keypoints(root: Path, tmp_path: Path) -> None:
    document = json.loads((root / "test.json").read_text())
    for annotation in document["annotations"]:
        annotation["keypoints"] = [*annotation["keypoints"], 0, 0, 0]
    for category in document["categories"]:
        if "keypoints" in category:
            category["keypoints"] = [*category["keypoints"], "fifth"]
    (tmp_path / "set.json").write_text(json.dumps(document))
    dataset = {
        "format": "coco",
        "path": str(root / "pose" / "images" / "test"),
        "annotations": str(tmp_path / "set.json"),
    }
    with pytest.raises(ConfigError, match=r"finds 4 keypoints .* dataset have 5") as caught:
        evaluated(tmp_path, dataset)
    assert caught.value.code == "KEYPOINTS_MISMATCH"
