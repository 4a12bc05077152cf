"""Runs with awkward names, and their reports."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from snellen.analysis.report.build import ReportSettings, write_report
from snellen.pipelines.config.loader import build_config
from snellen.pipelines.progress import Reporter
from snellen.pipelines.runs.runner import TestRunner
from snellen.store.sql.database import Database
from snellen.store.views import RunView
from tests.pipelines.making import write_image
from tests.pipelines.pixel_adapter import NAME

AWKWARD = (
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "🎉 fête & \"quotes\" 'single'",
    "שלום עולם",
    "x" * 300,
)
RUN_NAME = "</title><script>alert('run')</script> {{ 7 * 7 }}"


@dataclass(frozen=True)
class Place:
    """A database with runs."""

    db: Database
    url: str
    folder: Path

    def report(self, run: RunView, name: str, **settings: Any) -> str:
        """Write a report and return its text."""
        path = self.folder / name
        write_report(self.db, run, ReportSettings(path, **settings), Reporter())
        return path.read_text(encoding="utf-8")


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    folder = tmp_path_factory.mktemp("reports")
    url = f"sqlite:///{folder / 'runs.db'}"
    return Place(Database.open(url), url, folder)


@pytest.fixture(scope="session")
def awkward(place: Place) -> RunView:
    """A run whose classes, images and name would be markup if they were not escaped."""
    folder = place.folder / "awkward"
    with (folder.parent / "rows.csv").open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["path", "label"])
        for number in range(3 * len(AWKWARD)):
            name = f"<b>{number}&amp;.png"
            write_image(folder / name, 17 * number % 250, size=(40, 30))
            rows.writerow([f"awkward/{name}", AWKWARD[number % len(AWKWARD)]])
    (folder / "<b>4&amp;.png").write_bytes(b"no image")
    config = build_config(
        {
            "name": RUN_NAME,
            "model": {
                "adapter": NAME,
                "class_names": list(AWKWARD),
                "options": {"num_classes": len(AWKWARD)},
            },
            "dataset": {"path": str(folder.parent / "rows.csv")},
            "run": {"engine": "inline"},
            "output": {"dir": str(folder.parent / "out")},
            "metrics": {"slices": ["image_size"]},
        }
    )
    return TestRunner(config, database=place.url).run_test()
