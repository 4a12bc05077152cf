"""Runs that score some classes only, from the start and after a rescore."""

from __future__ import annotations

from pathlib import Path

import pytest

import snellen
from examples.shapes.make_dataset import CLASSES, make
from snellen.adapters.errors import ConfigError
from snellen.analysis.rescore import rescore_run
from snellen.pipelines.progress import Reporter
from snellen.store.runs import get_test_run
from snellen.store.sql.database import Database
from tests.metrics.detection.examples import coco_stats
from tests.pipelines.making import TIMES

pytestmark = pytest.mark.slow

FIXTURES = Path(__file__).parents[1] / "fixtures"
EXACT = 1e-12


class Notes(Reporter):
    def __init__(self) -> None:
        super().__init__()
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shapes")
    make(folder, counts={"test": 10, "val": 1}, seed=5)
    return folder


def evaluated(root: Path, place: Path, classes: list[str] | None) -> snellen.TestRun:
    return snellen.evaluate(
        {
            "model": {
                "adapter": "ultralytics", "checkpoint": str(FIXTURES / "tiny-detect.pt")},
            "dataset": {"path": str(root / "detect" / "data.yaml"), "split": "test"},
            "run": {"engine": "inline"},
            "metrics": {"bootstrap": 0, "classes": classes},
            "output": {"dir": str(place / "out")},
            "database": f"sqlite:///{place / 'runs.db'}",
        }
    )  # fmt: skip


def test_a_run_and_a_rescore_equal_pycocotools(root: Path, tmp_path: Path) -> None:
    db = Database.open(f"sqlite:///{tmp_path / 'runs.db'}")
    whole = evaluated(root, tmp_path, None)
    chosen = evaluated(root, tmp_path, ["circle", "square"])
    told = Notes()
    words = ["metrics.classes=[square,circle]"]
    again = rescore_run(db, get_test_run(db, whole.id), words, told)
    rows = whole.results().to_dicts()
    ids = [CLASSES.index(name) for name in ("circle", "square")]
    theirs = coco_stats(rows, "bbox", len(CLASSES), cat_ids=ids)
    assert theirs is not None
    for metrics in (chosen.metrics, again.metrics or {}):
        assert metrics["mAP50-95"] == pytest.approx(theirs.stats[0], abs=EXACT)
        assert metrics["mAR_100"] == pytest.approx(theirs.stats[8], abs=EXACT)
    assert again.metrics == chosen.metrics
    assert again.metrics != whole.metrics
    triangles = sum(box["class_id"] not in ids for row in rows for box in row["true_boxes"])
    assert told.notes == [f"metrics.classes: {triangles} objects of other classes are excluded"]
    # The rows are those of all classes.
    same = set(rows[0]) - set(TIMES)
    for one, other in zip(rows, chosen.results().to_dicts(), strict=True):
        assert {key: one[key] for key in same} == {key: other[key] for key in same}
    reopened = snellen.open_run(again.id, database=f"sqlite:///{tmp_path / 'runs.db'}")
    sides = [*CLASSES, "background"]
    for true, counts in zip(sides, reopened.confusion_matrix, strict=True):
        for predicted, count in zip(sides, counts, strict=True):
            assert reopened.instances(true=true, predicted=predicted).total == count


def test_an_unknown_class_stops_the_run_before_it_starts(root: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="did you mean square") as caught:
        evaluated(root, tmp_path, ["squares"])
    assert caught.value.code == "CLASS_UNKNOWN"
    assert not (tmp_path / "out").exists() or not list((tmp_path / "out").glob("*/*.parquet"))
