"""What makes a run a test run: labels, metrics, an operating point."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from snellen.adapters.types import TaskType
from snellen.metrics.detection.operating_point import OperatingPoint
from snellen.pipelines.config.evaluate import EvaluateConfig
from snellen.pipelines.data.resolve import ResolvedDataset, resolve_dataset
from snellen.pipelines.data.sources.registry import open_source
from snellen.pipelines.models.load import ResolvedModel
from snellen.pipelines.progress import Reporter
from snellen.pipelines.runs.finish import finish_run
from snellen.pipelines.runs.kinds import RunKind, Scoring
from snellen.pipelines.runs.slices import check_slices
from snellen.pipelines.runs.submit import shared_columns
from snellen.store.kinds import TEST_RUN
from snellen.store.leases import Lease
from snellen.store.parquet.schema import result_schema
from snellen.store.runs import create_test_run, get_test_run
from snellen.store.sql.database import Database
from snellen.store.views import RunView


class Evaluation(RunKind[EvaluateConfig, RunView]):
    """A test run."""

    name: ClassVar[str] = TEST_RUN

    @property
    def config(self) -> type[EvaluateConfig]:
        """The class of its configuration."""
        return EvaluateConfig

    def get(self, db: Database, reference: int | str) -> RunView:
        """A row of ``test_runs``."""
        return get_test_run(db, reference)

    def check_input(self, config: EvaluateConfig) -> None:
        """There is a data set at the path."""
        open_source(config.dataset)

    def resolve(self, config: EvaluateConfig, model: ResolvedModel) -> ResolvedDataset:
        """The data set, its classes matched with the model's."""
        return resolve_dataset(config, model.info, dataset_names=model.dataset_names)

    def create_row(
        self, db: Database, config: EvaluateConfig, model: ResolvedModel, dataset: ResolvedDataset
    ) -> int:
        """A row of ``test_runs``."""
        class_map, path = dataset.aligned, config.dataset.path
        return create_test_run(
            db,
            **shared_columns(db, TEST_RUN, config, model, class_map.names, Path(path).name),
            dataset_path=path,
            dataset_split=dataset.info.split,
            class_map={**class_map.to_json(), "class_order": dataset.info.class_order},
        )

    def check(self, config: EvaluateConfig, model: ResolvedModel, dataset: ResolvedDataset) -> None:
        """The slices exist."""
        schema = result_schema(dataset.info.meta_fields)
        check_slices(config.metrics, model.info.task_type, schema)

    def scoring(
        self, config: EvaluateConfig, model: ResolvedModel, run: RunView, total: int
    ) -> Scoring:
        """Matches are taken in every unit of a run at the point that it began with."""
        if model.info.task_type is TaskType.IMAGE_CLASSIFICATION:
            return Scoring()
        stored = (run.resolved or {}).get("operating")
        if stored:
            sigmas = tuple(stored["sigmas"]) if stored["sigmas"] else None
            return Scoring(OperatingPoint(stored["confidence"], stored["overlap"], sigmas))
        metrics = config.metrics
        return Scoring(
            OperatingPoint(metrics.operating_confidence, metrics.operating_iou, metrics.kpt_sigmas)
        )

    def finish(
        self, db: Database, lease: Lease, config: EvaluateConfig, reporter: Reporter
    ) -> RunView:
        """Compute the metrics from the files."""
        return finish_run(db, lease, config, reporter)


EVALUATION_KIND = Evaluation()
