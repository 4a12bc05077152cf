"""A dataset inside a root of the service, and a training job, for the routes of runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from snellen.pipelines.runs.runner import TestRunner
from snellen.serve.jobs.runner import JobRunner, RunnerSettings
from snellen.store.sql.database import Database
from snellen.store.views import JobView, RunView
from tests.pipelines.making import grey_folder, pixel_config
from tests.serve.file_adapter import NAME
from tests.serve.local_service import add_job


class Site:
    """A folder with a dataset, run tables and a training job of the pixel adapter."""

    def __init__(self, folder: Path, db: Database) -> None:
        self.folder = folder
        self.db = db
        self.data = grey_folder(folder / "roots" / "data")
        checkpoint = folder / "models" / "pixel.bin"
        checkpoint.parent.mkdir()
        checkpoint.write_text('{"sleep_ms": 0}')
        self.job: JobView = add_job(
            db, "pixel", checkpoint, framework=NAME, task_type="image_classification"
        )
        self.output = folder / "service"
        self.settings: dict[str, Any] = {"roots": [str(folder / "roots")]}

    def request(self, **fields: Any) -> dict[str, Any]:
        """Return the body of a test run."""
        run = {"engine": "inline", "unit_rows": 4, "batch_size": 3}
        body = {"training_job_id": self.job.id, "dataset_path": "data", "run": run}
        return {**body, **fields}

    def slow_down(self, milliseconds: int) -> None:
        """Make the model of the job take a time per image."""
        text = json.dumps({"sleep_ms": milliseconds})
        (self.folder / "models" / "pixel.bin").write_text(text)

    def run_jobs(self) -> None:
        """Execute all queued jobs."""
        JobRunner(self.db, RunnerSettings(2, 0, self.output)).run(until_empty=True)

    def run_here(self, **sections: Any) -> RunView:
        """Evaluate in this process, as the command line does."""
        model = {"job": self.job.id}
        config = pixel_config(self.data, self.folder / "out", **{"model": model, **sections})
        data = config.model_dump(exclude_unset=True)
        data["model"].pop("adapter", None)
        config = type(config).model_validate(data)
        return TestRunner(config, database=self.db.url).run_test()
