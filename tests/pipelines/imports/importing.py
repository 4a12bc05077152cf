"""Imports of small files for tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from snellen.pipelines.config.loader import build_config
from snellen.pipelines.imports.import_request import ImportRequest
from snellen.pipelines.imports.import_run import import_predictions
from snellen.pipelines.progress import Reporter
from snellen.store.sql.database import Database
from snellen.store.views import IMPORTED, RunView


class Importing:
    """A database with imported runs, and the dataset that they are on."""

    def __init__(self, folder: Path, dataset: dict[str, Any]) -> None:
        self.folder = folder
        self.url = f"sqlite:///{folder / 'runs.db'}"
        self.dataset = dataset
        self.db = Database.open(self.url)

    def run(
        self,
        path: Path,
        *,
        job: str | None = None,
        config: dict[str, Any] | None = None,
        **request: Any,
    ) -> RunView:
        """Import a file; ``config`` adds sections."""
        sections: dict[str, Any] = {
            "model": {"adapter": IMPORTED, "checkpoint": str(path), "min_confidence": 0.0},
            "dataset": self.dataset,
            "run": {"engine": "inline"},
            "output": {"dir": str(self.folder / "out")},
            "metrics": {"bootstrap": 0},
            "database": self.url,
        }
        for name, values in (config or {}).items():
            known = sections.get(name)
            sections[name] = {**known, **values} if isinstance(known, dict) else values
        asked = ImportRequest(path, **request)
        return import_predictions(asked, build_config(sections), Reporter(), job=job)
