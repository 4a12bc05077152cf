"""A detection run of four images in two units, whose matches are counted by hand."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from snellen.analysis.rescore import rescore_run
from snellen.pipelines.config.loader import build_config
from snellen.pipelines.progress import Reporter
from snellen.pipelines.runs.runner import TestRunner
from snellen.store.sql.database import Database
from snellen.store.views import RunView
from tests.pipelines.box_adapter import NAME, box_dataset

OBJECTS = (
    ((0, 0, 0), (1, 12, 12)),
    ((0, 0, 0),),
    (),
    ((0, 0, 0), (1, 12, 12), (1, 0, 13)),
)
"""Per image the class, left and top of its objects; every image has the predictions cat .9 at
(0, 0), dog .4 at (12, 12), both exact, and dog .1 at (0, 14), which is 8 x 8 inside of 10 x 10."""
COUNTS: Mapping[float, tuple[tuple[int, int, int], ...]] = {
    0.25: ((2, 0, 0), (1, 1, 0), (0, 2, 0), (2, 0, 1)),
    0.5: ((1, 0, 1), (1, 0, 0), (0, 1, 0), (1, 0, 2)),
    0.05: ((2, 1, 0), (1, 2, 0), (0, 3, 0), (3, 0, 0)),
}
"""True positives, false positives and misses of each image, by operating confidence."""
CORRECT = {limit: [c[1:] == (0, 0) for c in counts] for limit, counts in COUNTS.items()}


class Detected:
    """The run, its folder and its database."""

    def __init__(self, folder: Path) -> None:
        self.url = f"sqlite:///{folder / 'runs.db'}"
        self.db = Database.open(self.url)
        path = box_dataset(folder / "data", OBJECTS)
        config: dict[str, Any] = {
            "name": "boxes",
            "model": {"adapter": NAME},
            "dataset": {"path": str(path), "format": "coco"},
            "run": {"engine": "inline", "unit_rows": 2},
            "output": {"dir": str(folder / "out")},
            "metrics": {"bootstrap": 0},
        }
        self.config = build_config(config)
        self.run: RunView = TestRunner(self.config, database=self.url).run_test()

    def at(self, confidence: float, *words: str) -> RunView:
        """Rescore the run at another operating confidence."""
        overrides = [f"metrics.operating_confidence={confidence}", *words]
        return rescore_run(self.db, self.run, overrides, Reporter())
