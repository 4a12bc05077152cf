"""Open stored test runs, load adapters and compare models."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from snellen.adapters.registry import load_adapter_class
from snellen.adapters.types import AdapterSpec
from snellen.analysis.error_analysis import ErrorAnalysis, InstanceQuery
from snellen.analysis.reader import open_results, unit_files
from snellen.api.base import Stored
from snellen.api.keywords import AdapterKeywords, InstanceOptions, ParityOptions, check_keywords
from snellen.api.opened import opened
from snellen.metrics.errors.counts import BucketSummary, MistakeSummary
from snellen.metrics.errors.paging import InstancePage
from snellen.metrics.parity.differences import Tolerance
from snellen.pipelines.model_tools.parity import compare_models
from snellen.pipelines.model_tools.parity_check import ParitySettings
from snellen.pipelines.progress import Reporter
from snellen.pipelines.runs.runner import TestRunner
from snellen.store.parquet.results import Results
from snellen.store.runs import get_test_run
from snellen.store.sql.database import Database
from snellen.store.views import RunView

if TYPE_CHECKING:
    from snellen.adapters.base import Adapter


class TestRun(Stored[RunView]):
    """Test run: its row in the run tables, with result files that are read on demand."""

    __test__ = False  # not a test case, whatever its name looks like to pytest

    def _open(self, db: Database) -> Results:
        return open_results(db, self._view)

    def _files(self, db: Database) -> list[Path]:
        return unit_files(db, self._view)

    @property
    def metrics(self) -> dict[str, Any]:
        """Metric key -> value; None where a metric is undefined."""
        return dict(self._view.metrics or {})

    @property
    def intervals(self) -> dict[str, Any]:
        """Metric key -> [low, high] at ``metrics.confidence_level``."""
        return dict(self._view.intervals or {})

    @property
    def per_class_metrics(self) -> dict[str, Any]:
        """Class name -> precision, recall, F1 and support."""
        return dict(self._view.per_class_metrics or {})

    @property
    def confusion_matrix(self) -> Any:
        """Counts; rows are true classes, columns predicted. Sparse above 1,000 classes."""
        return self._view.confusion_matrix

    def errors(
        self, *, min_confidence: float | None = None, top: int = 10
    ) -> BucketSummary | MistakeSummary:
        """Count the errors by kind, from the result files.

        Detection, segmentation and pose: TIDE buckets with the number of errors, the number of
        images and the gain in AP. Classification: the most confused pairs of classes and the most
        confident mistakes.

        Args:
            min_confidence: minimum confidence of the predictions to count (not for
                classification); None takes that of the run's operating point. 0 counts every
                stored prediction, as ``row.details["tide"]`` does.
            top: maximum number of pairs and of mistakes (classification only).

        Raises:
            ConfigError, InputError: see `snellen.analysis.error_analysis.ErrorAnalysis.summary`.
        """
        with opened(self._database) as db:
            return ErrorAnalysis(db, self._view).summary(min_confidence=min_confidence, top=top)

    def instances(self, **options: Unpack[InstanceOptions]) -> InstancePage:
        """List the errors in a bucket, or the instances that a confusion matrix cell counts.

        ``run.instances(bucket="Loc")``; ``run.instances(true="cat", predicted="dog")``;
        ``run.instances(true="cat", predicted="background")`` lists the cats that were missed.

        Args:
            options: see `snellen.analysis.error_analysis.InstanceQuery`.

        Raises:
            ConfigError, InputError: see `snellen.analysis.error_analysis.ErrorAnalysis.instances`.
        """
        with opened(self._database) as db:
            return ErrorAnalysis(db, self._view).instances(InstanceQuery(**options))

    def _repr_html_(self) -> str:
        """Return the metrics and the worst images, as notebooks display them."""
        from snellen.api.notebook import run_html

        with opened(self._database) as db:
            return run_html(db, self._view)

    def __repr__(self) -> str:
        metric, value = self._view.primary_metric_name, self._view.primary_metric_value
        primary = f", {metric}={value}" if metric is not None else ""
        return f"TestRun(id={self.id}, name={self.name!r}, status={self.status!r}{primary})"


def open_run(reference: int | str = "latest", *, database: str | None = None) -> TestRun:
    """Open a stored test run.

    Args:
        reference: id, name or ``latest``.
        database: URL of the run tables; None takes the default.

    Raises:
        InputError: RUN_NOT_FOUND, DATABASE_NOT_FOUND.
    """
    with opened(database) as db:
        return TestRun(get_test_run(db, reference), database)


def resume(
    run: TestRun | int | str = "latest",
    *,
    retry_failed: bool | str | Sequence[str] = False,
    overrides: Sequence[str] = (),
    database: str | None = None,
    reporter: Reporter | None = None,
) -> TestRun:
    """Resume a test run and return the completed run.

    ``resume(run)`` scores what is left; ``resume(run, retry_failed=["NOT_FOUND", "IO"])`` also
    scores the failed images with these error codes again, of a completed run, too.

    Args:
        run: a run, or its id, its name or ``latest``.
        retry_failed: True for all failed images, or error codes.
        overrides: ``key=value`` words for settings that do not make the result.
        database: URL of the run tables; None takes the run's own, else the default.
        reporter: receives progress; None is silent.

    Raises:
        ConfigError, InputError: an unknown error code; RUN_NOT_FOUND, RUN_BUSY, RESUME_CHANGED.
        RunError, RunInterrupted: the run can be resumed.
    """
    where = run._database if database is None and isinstance(run, TestRun) else database
    reference = run.id if isinstance(run, TestRun) else run
    runner = TestRunner(database=where, reporter=reporter)
    return TestRun(runner.resume(reference, overrides, retry_failed=retry_failed), where)


def load_adapter(adapter: str = "timm", **options: Any) -> Adapter:
    """Load a model: ``load_adapter("timm", checkpoint=...).infer_single("cat.jpg")``.

    Args:
        adapter: registry name or ``module:Class``.
        options: see `snellen.api.keywords.AdapterKeywords`; all others are options of the adapter.

    Raises:
        ConfigError, InputError: the checkpoint or an option is invalid.
    """
    given = {key: options.pop(key) for key in AdapterKeywords.__annotations__ if key in options}
    checkpoint, names = given.get("checkpoint"), given.get("class_names")
    spec = AdapterSpec(
        adapter=adapter,
        checkpoint=str(Path(checkpoint).expanduser().absolute()) if checkpoint else None,
        architecture=given.get("architecture"),
        class_names=tuple(names) if names else None,
        multi_label=given.get("multi_label"),
        precision=given.get("precision", "fp32"),
        preprocess=dict(given.get("preprocess") or {}),
        options=options,
    )
    return load_adapter_class(adapter).from_spec(spec, device=given.get("device"))


def parity(
    a: str | Path, b: str | Path, dataset: str | Path, **options: Unpack[ParityOptions]
) -> dict[str, Any]:
    """Compare the predictions of two models image by image, such as a checkpoint and its export.

    Args:
        a: a checkpoint file, a training job (id, name or run directory), ``JOB:CHECKPOINT``,
            or a YAML configuration with a model section.
        b: the same for the other model.
        dataset: dataset with the images; labels are used if they match the models' classes.
        options: see `snellen.api.keywords.ParityOptions`.

    Returns:
        The document of ``snellen parity --json``; ``verdict`` is ``equivalent`` or
        ``different``.

    Raises:
        ConfigError, InputError: a model or the dataset cannot be used.
    """
    check_keywords("parity", options, ParityOptions)
    settings = ParitySettings(
        dataset={
            "path": str(dataset),
            "format": options.get("dataset_format", "auto"),
            "limit": options.get("limit"),
        },
        tolerance=Tolerance(
            options.get("tolerance", 1e-4),
            options.get("pixels", 1e-2),
            compared_from=options.get("confidence", 0.25),
        ),
        device=options.get("device", "cpu"),
        trust=options.get("trust", False),
    )
    return compare_models(
        str(a),
        str(b),
        settings,
        database=options.get("database"),
        reporter=options.get("reporter"),
    )
