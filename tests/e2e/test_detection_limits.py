"""Limits on detections, of the model and of the metrics, in whole runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import snellen
from examples.shapes.make_dataset import CLASSES, make
from snellen.adapters.errors import ConfigError
from snellen.analysis.rescore import rescore_run
from snellen.pipelines.progress import Reporter
from snellen.store.runs import get_test_run
from snellen.store.sql.database import Database
from tests.metrics.detection.examples import coco_stats

pytestmark = pytest.mark.slow

FIXTURES = Path(__file__).parents[1] / "fixtures"
EXACT = 1e-12


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shapes")
    make(folder, counts={"test": 6, "val": 1}, seed=5)
    return folder


def evaluated(
    root: Path, place: Path, limits: list[int], model: str = "detect", **settings: Any
) -> snellen.TestRun:
    return snellen.evaluate(
        {
            "model": {
                "adapter": "ultralytics",
                "checkpoint": str(FIXTURES / f"tiny-{model}.pt"),
                **settings,
            },
            "dataset": {"path": str(root / "detect" / "data.yaml"), "split": "test"},
            "run": {"engine": "inline"},
            "metrics": {"bootstrap": 0, "max_dets": limits},
            "output": {"dir": str(place / "out")},
            "database": f"sqlite:///{place / 'runs.db'}",
        }
    )


@pytest.mark.parametrize(
    ("model", "settings"),
    [("detect", {"nms_iou": 1.0}), ("detect-26", {"nms": False})],
    ids=["I-with-suppression", "I-end-to-end"],
)
def test_500_detections_are_kept_and_counted(
    model: str, settings: dict[str, Any], root: Path, tmp_path: Path
) -> None:
    run = evaluated(
        root, tmp_path, [500], model, max_detections=500, min_confidence=0.0, **settings
    )
    rows = run.results().to_dicts()
    assert max(len(row["predicted_boxes"]) for row in rows) > 300
    theirs = coco_stats(rows, "bbox", len(CLASSES), max_dets=[500])
    assert theirs is not None
    precision, recall = theirs.eval["precision"][..., 0, -1], theirs.eval["recall"][..., 0, -1]
    assert run.metrics["mAP50-95@500"] == pytest.approx(precision.mean(), abs=EXACT)
    assert run.metrics["mAR_500"] == pytest.approx(recall.mean(), abs=EXACT)
    assert run.row.primary_metric_name == "mAP50-95@500"


def test_more_than_the_model_keeps_is_rejected(root: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"model\.max_detections=500") as caught:
        evaluated(root, tmp_path, [500])
    assert caught.value.code == "METRICS_MAX_DETS"
    run = evaluated(root, tmp_path, [1, 10, 300])
    assert "mAP50-95@300" in run.metrics
    db = Database.open(f"sqlite:///{tmp_path / 'runs.db'}")
    with pytest.raises(ConfigError, match="above the 300 detections") as caught:
        rescore_run(db, get_test_run(db, run.id), ["metrics.max_dets=[301]"], Reporter())
    assert caught.value.code == "METRICS_MAX_DETS"
