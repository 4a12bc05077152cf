"""Dataset, output folder and database of one test, and a reporter that interrupts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from snellen.analysis.reader import open_results
from snellen.pipelines.config.evaluate import EvaluateConfig
from snellen.pipelines.progress import Reporter
from snellen.pipelines.runs.runner import TestRunner
from snellen.store.sql.database import Database
from snellen.store.views import RunView
from tests.pipelines.making import grey_folder, pixel_config


class Place:
    """Dataset, output folder and database of one test."""

    def __init__(self, folder: Path) -> None:
        self.data = grey_folder(folder / "data")
        self.output = folder / "out"
        self.url = f"sqlite:///{folder / 'runs.db'}"

    def config(self, **sections: Any) -> EvaluateConfig:
        return pixel_config(self.data, self.output, **sections)

    def run(self, reporter: Reporter | None = None, **sections: Any) -> RunView:
        return TestRunner(self.config(**sections), database=self.url, reporter=reporter).run_test()

    def resume(self, *words: str, reference: str = "latest") -> RunView:
        run: RunView = TestRunner(database=self.url).resume(reference, words)
        return run

    @property
    def db(self) -> Database:
        return Database.open(self.url)

    def rows(self, run: RunView) -> list[dict[str, Any]]:
        return open_results(self.db, run).frame().to_dicts()


class Stopping(Reporter):
    """Reporter that interrupts the run after a number of commits."""

    def __init__(self, after: int) -> None:
        self._left = after

    def advance(self, rows: int, failed: int, metric: tuple[str, float] | None) -> None:
        self._left -= 1
        if self._left == 0:
            raise KeyboardInterrupt


def tree(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
