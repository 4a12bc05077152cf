"""Completed runs of all four tasks on drawn shapes, for pages in a browser."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import snellen
from examples.shapes.make_dataset import make
from snellen.store.runs import get_test_run
from snellen.store.sql.database import Database
from snellen.store.views import RunView
from tests.serve.local_service import FIXTURES

IMAGES = 14
AWKWARD = (
    "<script>alert(1)</script>\N{GRINNING FACE}\N{HEBREW LETTER ALEF}\N{HEBREW LETTER BET}",
    "\N{ARABIC LETTER MEEM}\N{ARABIC LETTER THEH}<b onclick=alert(1)>",
    "x" * 300,
)
"""Names that are shown as text, as names of classes and of runs."""


@dataclass(frozen=True)
class FinishedRuns:
    """Runs and what they were made from.

    Attributes:
        folder: of everything.
        db: the run tables.
        ids: name of a run -> id: ``detect``, ``classify``, ``segment``, ``pose``, ``other``, a
            second detector on the images of the first, and ``awkward``, whose names are.
    """

    folder: Path
    db: Database
    ids: dict[str, int] = field(default_factory=dict)

    @property
    def shapes(self) -> Path:
        """Folder of the datasets."""
        return self.folder / "shapes"

    def run(self, name: str) -> RunView:
        """Return a run."""
        return get_test_run(self.db, self.ids[name])

    def evaluate(self, name: str, checkpoint: str, path: Path, **sections: Any) -> None:
        """Add a run."""
        result = snellen.evaluate(
            {
                "name": sections.pop("title", name),
                "model": {"checkpoint": str(FIXTURES / checkpoint), **sections.pop("model", {})},
                "dataset": {"path": str(path), "split": "test"},
                "metrics": {"bootstrap": 20, "slices": ["image_size"]},
                "run": {"engine": "inline"},
                "output": {"dir": str(self.folder / "out")},
                "database": self.db.url,
                **sections,
            }
        )
        self.ids[name] = result.id


def make_runs(folder: Path) -> FinishedRuns:
    """Draw the shapes, evaluate the tiny checkpoints on them."""
    made = FinishedRuns(folder, Database.open(f"sqlite:///{folder / 'runs.db'}"))
    make(made.shapes, counts={"test": IMAGES, "val": 1}, seed=5)
    for task in ("detect", "segment", "pose"):
        path = made.shapes / task / "data.yaml"
        made.evaluate(task, f"tiny-{task}.pt", path)
    made.evaluate("classify", "tiny-classify.pt", made.shapes / "classify")
    made.evaluate("other", "tiny-detect-8.pt", made.shapes / "detect" / "data.yaml")
    made.evaluate(
        "awkward", "tiny-detect.pt", _rename(made.shapes / "detect"),
        title=AWKWARD[0], model={"class_names": list(AWKWARD)},
    )  # fmt: skip
    return made


def _rename(folder: Path) -> Path:
    """Copy a YOLO dataset under awkward names of classes and of one image."""
    copy = folder.with_name("awkward")
    shutil.copytree(folder, copy)
    for kind, end in (("images", ".png"), ("labels", ".txt")):
        long = copy / kind / "test" / ("y" * 150)
        long.mkdir()
        first = copy / kind / "test" / f"0000{end}"
        first.rename(long / f"{AWKWARD[0].replace('/', '')}{'z' * 150}{end}")
    lines = {"path": str(copy), "test": "images/test", "names": list(AWKWARD)}
    (copy / "data.yaml").write_text(json.dumps(lines, ensure_ascii=False))
    return copy / "data.yaml"
