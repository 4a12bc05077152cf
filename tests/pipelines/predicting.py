"""Inference jobs for tests: the pixel adapter on grey images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from snellen.analysis.reader import open_results
from snellen.pipelines.config.loader import build_as
from snellen.pipelines.config.predict import PredictConfig
from snellen.pipelines.progress import Reporter
from snellen.pipelines.runs.runner import InferenceRunner
from snellen.store.sql.database import Database
from snellen.store.views import InferenceJobView
from tests.pipelines.making import TIMES, grey_folder
from tests.pipelines.pixel_adapter import NAME


class Jobs:
    """Twelve images, an output folder and a database."""

    def __init__(self, folder: Path) -> None:
        self.data = grey_folder(folder / "data")
        self.output = folder / "out"
        self.url = f"sqlite:///{folder / 'runs.db'}"

    def config(self, **sections: Any) -> PredictConfig:
        data: dict[str, Any] = {
            "model": {"adapter": NAME},
            "dataset": {"path": str(self.data)},
            "run": {"engine": "inline", "unit_rows": 4, "batch_size": 3},
            "output": {"dir": str(self.output)},
        }
        for name, values in sections.items():
            data[name] = {**data.get(name, {}), **values} if isinstance(values, dict) else values
        return build_as(PredictConfig, data)

    def run(
        self, images: Any = None, reporter: Reporter | None = None, **sections: Any
    ) -> InferenceJobView:
        runner = InferenceRunner(self.config(**sections), database=self.url, reporter=reporter)
        return runner.run_inference(images)

    def resume(self, *words: str, reference: str = "latest") -> InferenceJobView:
        job: InferenceJobView = InferenceRunner(database=self.url).resume(reference, words)
        return job

    @property
    def db(self) -> Database:
        return Database.open(self.url)

    def rows(self, job: InferenceJobView, *, times: bool = False) -> list[dict[str, Any]]:
        frame = open_results(self.db, job).frame()
        return frame.to_dicts() if times else frame.drop(TIMES).to_dicts()
