"""Runs whose ground truth objects do not count say so and have no metrics of objects."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import snellen
from examples.shapes.make_dataset import make
from snellen.pipelines.progress import Reporter

FIXTURES = Path(__file__).parents[1] / "fixtures"


class Told(Reporter):
    def __init__(self) -> None:
        self.notes: list[str] = []
        self.metrics: list[tuple[str, float] | None] = []

    def note(self, text: str) -> None:
        self.notes.append(text)

    def advance(self, rows: int, failed: int, metric: tuple[str, float] | None) -> None:
        self.metrics.append(metric)


@pytest.mark.parametrize("crowd", [True, False], ids=["I-all-crowds", "I-no-objects"])
def test_nothing_is_measured_where_no_object_counts(crowd: bool, tmp_path: Path) -> None:
    make(tmp_path, counts={"test": 5, "val": 1}, seed=5)
    document = json.loads((tmp_path / "test.json").read_text())
    if crowd:
        for annotation in document["annotations"]:
            annotation["iscrowd"] = 1
    else:
        document["annotations"] = []
    (tmp_path / "set.json").write_text(json.dumps(document))
    told = Told()
    run = snellen.evaluate(
        {
            "model": {"adapter": "ultralytics", "checkpoint": str(FIXTURES / "tiny-detect.pt")},
            "dataset": {
                "format": "coco",
                "path": str(tmp_path / "detect" / "images" / "test"),
                "annotations": str(tmp_path / "set.json"),
            },
            "run": {"engine": "inline"},
            "output": {"dir": str(tmp_path / "out")},
            "database": f"sqlite:///{tmp_path / 'runs.db'}",
        },
        reporter=told,
    )
    assert {key for key, value in run.metrics.items() if value is not None} == {"coverage"}
    assert set(told.metrics) == {None}
    assert any(note.startswith("no ground truth objects count") for note in told.notes)
    assert (run.row.details or {})["counted_objects"] == 0
