"""What differs between a test run and an inference job.

Everything else is the same for both: lease, manifest, units, engines, ledger, resume. The two
kinds are ``evaluation.Evaluation`` and ``prediction.Prediction``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Generic, TypeVar

from snellen.metrics.detection.operating_point import OperatingPoint
from snellen.pipelines.config.evaluate import EvaluateConfig
from snellen.pipelines.config.predict import PredictConfig
from snellen.pipelines.data.resolve import ResolvedDataset
from snellen.pipelines.execution.worker.spec import PictureSpec
from snellen.pipelines.models.load import ResolvedModel
from snellen.pipelines.progress import Reporter
from snellen.store.leases import Lease
from snellen.store.sql.database import Database
from snellen.store.views import AnyRun

Config = TypeVar("Config", EvaluateConfig, PredictConfig)
View = TypeVar("View", bound=AnyRun)


@dataclass(frozen=True, slots=True)
class Scoring:
    """What workers do besides inference.

    Attributes:
        operating: where detections count as made; None where nothing is compared.
        pictures: which annotated images and mask images are written.
        all_threads: a single unit in this process may use every CPU for one forward pass.
    """

    operating: OperatingPoint | None = None
    pictures: PictureSpec | None = None
    all_threads: bool = False


class RunKind(ABC, Generic[Config, View]):
    """A kind of run; it has no state."""

    name: ClassVar[str]
    """``test_run`` or ``inference_job``: the kind of its lease and its ledger."""

    @property
    @abstractmethod
    def config(self) -> type[Config]:
        """The class of its configuration."""

    @abstractmethod
    def get(self, db: Database, reference: int | str) -> View:
        """Its row by id, name or ``latest``; raises InputError, RUN_NOT_FOUND."""

    @abstractmethod
    def check_input(self, config: Config) -> None:
        """Refuse what is plainly missing, before anything is started.

        Raises:
            ConfigError, InputError: there are no such images.
        """

    @abstractmethod
    def resolve(self, config: Config, model: ResolvedModel) -> ResolvedDataset:
        """Describe the images, and their classes where they have labels.

        Raises:
            ConfigError, InputError: they do not fit the model.
        """

    @abstractmethod
    def create_row(
        self, db: Database, config: Config, model: ResolvedModel, dataset: ResolvedDataset
    ) -> int:
        """Insert the row of a new run, status ``pending``, and give its id."""

    @abstractmethod
    def check(self, config: Config, model: ResolvedModel, dataset: ResolvedDataset) -> None:
        """Refuse settings that these images or this model cannot meet.

        Raises:
            ConfigError: naming the setting.
        """

    @abstractmethod
    def scoring(self, config: Config, model: ResolvedModel, run: View, total: int) -> Scoring:
        """What workers are told about ``run`` of ``total`` images, whether new or resumed."""

    @abstractmethod
    def finish(self, db: Database, lease: Lease, config: Config, reporter: Reporter) -> View:
        """Complete a run whose units are all in the ledger.

        Raises:
            RunError: ALL_FAILED when no image could be scored; the row says so, too.
        """
