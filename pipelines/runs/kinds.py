"""The record of a kind of run: the functions in which a test run and an inference job differ.

Everything else is the same for both: lease, manifest, units, engines, ledger, resume. The two
records are `evaluation.EVALUATION` and `prediction.PREDICTION`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from snellen.metrics.detection.operating_point import OperatingPoint
from snellen.pipelines.config.predict import AnyConfig
from snellen.pipelines.data.resolve import ResolvedDataset
from snellen.pipelines.execution.worker.spec import PictureSpec, ScoringSpec
from snellen.pipelines.models.load import ResolvedModel
from snellen.pipelines.progress import Reporter
from snellen.store.parquet.results import Results
from snellen.store.sql.database import Database
from snellen.store.views import AnyRun, JobView

if TYPE_CHECKING:
    from snellen.adapters.base import Adapter
    from snellen.pipelines.execution.worker.unit_worker import UnitWorker

Columns = dict[str, Any]
"""Columns of a run's row."""


@dataclass(frozen=True, slots=True)
class Wording:
    """Words and commands for messages about a kind of run; ``{}`` stands for the run's id.

    Attributes:
        noun: name of the kind.
        resume: command that resumes it.
        failures: command that lists its failed images.
        done: participle for its images.
    """

    noun: str
    resume: str
    failures: str
    done: str


@dataclass(frozen=True, slots=True)
class Scoring:
    """Work of the workers besides inference.

    Attributes:
        operating: confidence and overlap of matches; None where nothing is matched.
        pictures: annotated images and mask images to write.
        all_threads: a single unit in this process may use every CPU for one forward pass.
    """

    operating: OperatingPoint | None = None
    pictures: PictureSpec | None = None
    all_threads: bool = False


@dataclass(frozen=True, slots=True)
class RunKind:
    """A kind of run.

    Attributes:
        name: ``test_run`` or ``inference_job``: the kind of its lease and of its ledger.
        words: words for messages.
        config: class of its configuration.
        get: returns a row by id, name or ``latest``; raises InputError, RUN_NOT_FOUND.
        create: inserts a row with the columns and returns its id.
        check_input: raises ConfigError or InputError where there are no such images; needs no
            model.
        describe_input: returns the columns that follow from the configuration, and a name for
            the images.
        resolve: describes the images, and their classes where they have labels; raises
            ConfigError or InputError where they do not fit the model.
        check: raises ConfigError for settings that the images or the model do not support.
        describe_dataset: returns the columns that follow from the resolved images.
        scoring: returns the work of the workers for a run of a number of images.
        measure: returns the columns that are computed from the result files, among them
            ``scored_images``, ``failed_images`` and ``total_images``.
        check_paths: raises InputError for images that are named and do not exist; called for new
            runs, before the run tables are opened.
        check_resumable: raises InputError for a row that cannot be resumed.
        folders: folders in the results folder that hold images.
    """

    name: str
    words: Wording
    config: type[AnyConfig]
    get: Callable[[Database, int | str], Any]
    create: Callable[..., int]
    check_input: Callable[[Any], None]
    describe_input: Callable[[Any], tuple[Columns, str]]
    resolve: Callable[[Any, ResolvedModel], ResolvedDataset]
    check: Callable[[Any, ResolvedModel, ResolvedDataset], None]
    describe_dataset: Callable[[ResolvedDataset], Columns]
    scoring: Callable[[Any, ResolvedModel, Any, int], Scoring]
    measure: Callable[[Any, Results, Any, Reporter], Mapping[str, Any]]
    check_paths: Callable[[Any], None] = lambda config: None
    check_resumable: Callable[[Any], None] = lambda run: None
    folders: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RunContext:
    """Everything that a run is submitted and executed with.

    Attributes:
        kind: the kind of run.
        config: its configuration, with absolute paths.
        db: the open database.
        reporter: told about progress.
        adapter: a model that is loaded already and runs in this process; None loads the one
            that the configuration names.
        ray_address: Ray that is joined where the run uses Ray and its configuration names no
            cluster.
        job: the training job of ``adapter``; None for the one of its checkpoint.
        worker: makes the worker of the inline engine, from its specification and a function that
            sets columns of the run's row; None for one that runs the model.
    """

    kind: RunKind
    config: Any
    db: Database
    reporter: Reporter
    adapter: Adapter | None = None
    ray_address: str | None = None
    job: JobView | None = None
    worker: Callable[[ScoringSpec, Callable[..., None]], UnitWorker] | None = None

    def row(self, run_id: int) -> AnyRun:
        """Read the run's row."""
        run: AnyRun = self.kind.get(self.db, run_id)
        return run
