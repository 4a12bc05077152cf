"""Submission over HTTP: everything that would stop a run is checked before it is accepted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from snellen.pipelines.config.loader import build_as
from snellen.pipelines.config.predict import AnyConfig, PredictConfig
from snellen.pipelines.data.resolve import ResolvedDataset
from snellen.pipelines.models.load import ResolvedModel
from snellen.pipelines.models.locate import ModelRequest, locate_model
from snellen.pipelines.planning.fingerprint import Fingerprint, reject_changes
from snellen.pipelines.progress import Reporter
from snellen.pipelines.runs.evaluation import EVALUATION
from snellen.pipelines.runs.kinds import RunContext, RunKind
from snellen.pipelines.runs.prediction import PREDICTION
from snellen.pipelines.runs.submit import submit
from snellen.pipelines.storage.remote_path import RemotePath
from snellen.serve.api.allowed_roots import InsideRoots
from snellen.serve.api.bodies.run_bodies import DatasetInferenceRequest, TestRunRequest
from snellen.serve.api.problems import Problem
from snellen.serve.api.runs.inspections import Inspections
from snellen.serve.api.runs.request_settings import Place, evaluation_of, prediction_of
from snellen.store.datasets import list_datasets
from snellen.store.service.job_queue import enqueue
from snellen.store.views import AnyRun, InferenceJobView, RunView


class Submission:
    """Checks requests and puts runs in the queue. Safe to share between threads."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self.inspections = Inspections()

    def submit_test_run(self, body: TestRunRequest) -> RunView:
        """Check dataset, checkpoint, class map and settings, and submit a test run.

        Raises:
            Problem: a path or a setting that is not allowed.
            ConfigError, InputError: whatever would stop the run before it starts.
        """
        run: RunView = self._submit(EVALUATION, evaluation_of(body, self._place))
        return run

    def submit_inference_job(self, body: DatasetInferenceRequest) -> InferenceJobView:
        """Check images, checkpoint and settings, and submit an inference job."""
        job: InferenceJobView = self._submit(PREDICTION, prediction_of(body, self._place))
        return job

    def submit_uploaded(self, kind: RunKind, config: PredictConfig) -> InferenceJobView:
        """Check and submit an inference job on uploaded images, which are in no root."""
        job: InferenceJobView = self._submit(kind, config, uploaded=True)
        return job

    def resolve(
        self, kind: RunKind, config: AnyConfig
    ) -> tuple[ResolvedModel, ResolvedDataset, RunContext]:
        """Describe the model and the images of a configuration, and check that they fit."""
        context = RunContext(kind, config, self._place.db, Reporter())
        located = locate_model(ModelRequest.of(config), self._place.db)
        found = self.inspections.of(located.spec)
        model = ResolvedModel(
            located.spec,
            found.info,
            found.reads_images,
            None,
            located.job,
            located.dataset_names,
        )
        kind.check_paths(config)
        kind.check_input(config)
        dataset = kind.resolve(config, model)
        kind.check(config, model, dataset)
        return model, dataset, context

    def _submit(self, kind: RunKind, config: AnyConfig, *, uploaded: bool = False) -> Any:
        _, dataset, context = self.resolve(kind, config)
        if not uploaded:
            self.check_root(dataset.info.root, config.dataset.path)
        run_id = submit(context)
        enqueue(self._place.db, kind.name, run_id)
        return kind.get(self._place.db, run_id)

    def check_unchanged(self, kind: RunKind, run: AnyRun) -> None:
        """Check that a run can be resumed: the results depend on the checkpoint and libraries.

        Raises:
            InputError: RESUME_CHANGED, listing every difference; the checkpoint does not exist.
            ConfigError: the checkpoint cannot be used.
        """
        stored = run.fingerprint or {}
        if stored.get("manifest_hash") is None:
            return  # the run has not begun
        config = build_as(kind.config, run.config)
        spec = locate_model(ModelRequest.of(config), self._place.db).spec
        preprocessing = (run.resolved or {}).get("preprocessing")
        before = Fingerprint(config, stored, preprocessing)
        info = self.inspections.of(spec).info
        reject_changes(before, config, info, f"{kind.words.noun} {run.id}")

    def check_root(self, root: Path | RemotePath, path: str | tuple[str, ...]) -> None:
        """Reject a dataset whose files name a folder outside of the roots, as data.yaml can.

        Args:
            root: folder of the images.
            path: of the dataset; that of a registered one may be anywhere.

        Raises:
            Problem: 403.
        """
        if not isinstance(root, Path):
            return  # a registered dataset on remote storage: requests cannot name one
        if InsideRoots(self._place.roots)(root) or self._is_registered(path):
            return
        raise Problem(
            403,
            "PATH_FORBIDDEN",
            "The images of this dataset are outside the configured roots (roots).",
        )

    def _is_registered(self, path: str | tuple[str, ...]) -> bool:
        """Return True for the path of a registered dataset, which an administrator named."""
        return any(one.config.get("path") == path for one in list_datasets(self._place.db))
