"""Open stored test runs, load adapters and compare models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from snellen.adapters.registry import load_adapter_class
from snellen.adapters.types import AdapterSpec
from snellen.analysis.error_analysis import ErrorAnalysis, InstanceQuery
from snellen.analysis.reader import open_results, unit_files
from snellen.api.base import Stored
from snellen.api.opened import opened
from snellen.metrics.errors.counts import BucketSummary, MistakeSummary
from snellen.metrics.errors.paging import InstancePage
from snellen.metrics.parity.differences import Tolerance
from snellen.pipelines.model_tools.parity import compare_models
from snellen.pipelines.model_tools.parity_check import ParitySettings
from snellen.pipelines.progress import Reporter
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
        self, *, min_confidence: float = 0.0, top: int = 10
    ) -> BucketSummary | MistakeSummary:
        """Count the errors by kind, from the result files.

        Detection, segmentation and pose: TIDE buckets with the number of errors, the number of
        images and the gain in AP. Classification: the most confused pairs of classes and the most
        confident mistakes.

        Args:
            min_confidence: minimum confidence of the predictions to count (not for
                classification). 0 gives the counts of ``row.details["tide"]``.
            top: maximum number of pairs and of mistakes (classification only).

        Raises:
            ConfigError, InputError: see `snellen.analysis.error_analysis.ErrorAnalysis.summary`.
        """
        with opened(self._database) as db:
            return ErrorAnalysis(db, self._view).summary(min_confidence=min_confidence, top=top)

    def instances(
        self,
        *,
        bucket: str | None = None,
        true: int | str | None = None,
        predicted: int | str | None = None,
        min_confidence: float = 0.0,
        sort: str = "image",
        offset: int = 0,
        limit: int = 100,
    ) -> InstancePage:
        """List the errors in a bucket, or the instances that a confusion matrix cell counts.

        ``run.instances(bucket="Loc")``; ``run.instances(true="cat", predicted="dog")``;
        ``run.instances(true="cat", predicted="background")`` lists the cats that were missed.
        `snellen.analysis.error_analysis.InstanceQuery` describes the arguments.

        Raises:
            ConfigError, InputError: see `snellen.analysis.error_analysis.ErrorAnalysis.instances`.
        """
        with opened(self._database) as db:
            query = InstanceQuery(bucket, true, predicted, min_confidence, sort, offset, limit)
            return ErrorAnalysis(db, self._view).instances(query)

    def __repr__(self) -> str:
        primary = f"{self._view.primary_metric_name}={self._view.primary_metric_value}"
        return f"TestRun(id={self.id}, name={self.name!r}, status={self.status!r}, {primary})"


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


def load_adapter(
    adapter: str = "timm",
    *,
    checkpoint: str | Path | None = None,
    architecture: str | None = None,
    class_names: Sequence[str] | None = None,
    device: str | None = None,
    precision: str = "fp32",
    preprocess: Mapping[str, Any] | None = None,
    **options: Any,
) -> Adapter:
    """Load a model: ``load_adapter("timm", checkpoint=...).infer_single("cat.jpg")``.

    Args:
        adapter: registry name or ``module:Class``.
        checkpoint: path of a local file.
        architecture: name of the architecture, if the checkpoint does not contain it.
        class_names: class names in output order.
        device: ``cpu`` or ``cuda``; None takes a GPU if one is available.
        precision: ``fp32``, ``fp16`` or ``bf16``.
        preprocess: overrides of the preprocessing, with the keys of the configuration.
        options: further options of the adapter.

    Raises:
        ConfigError, InputError: the checkpoint or an option is invalid.
    """
    spec = AdapterSpec(
        adapter=adapter,
        checkpoint=str(Path(checkpoint).expanduser().absolute()) if checkpoint else None,
        architecture=architecture,
        class_names=tuple(class_names) if class_names else None,
        precision=precision,
        preprocess=dict(preprocess or {}),
        options=options,
    )
    return load_adapter_class(adapter).from_spec(spec, device=device)


def parity(
    a: str | Path,
    b: str | Path,
    dataset: str | Path,
    *,
    dataset_format: str = "auto",
    limit: int | None = None,
    tolerance: float = 1e-4,
    pixels: float = 1e-2,
    confidence: float = 0.25,
    device: str = "cpu",
    trust: bool = False,
    database: str | None = None,
    reporter: Reporter | None = None,
) -> dict[str, Any]:
    """Compare the predictions of two models image by image, such as a checkpoint and its export.

    Args:
        a, b: a checkpoint file, a training job (id, name or run directory), ``JOB:CHECKPOINT``,
            or a YAML configuration with a model section.
        dataset: dataset with the images; labels are used if they match the models' classes.
        dataset_format: format of the dataset, as in ``dataset.format``.
        limit: maximum number of images, evenly spaced over the dataset; None takes all.
        tolerance: maximum difference between confidences.
        pixels: maximum difference between box sides or keypoint coordinates, in pixels.
        confidence: detections below this confidence in both models are ignored.
        device: ``cpu`` or ``cuda``; rounding on ``cuda`` may exceed the tolerance.
        trust: allow TorchScript files, which can execute arbitrary code.
        database: URL of the run tables with the training jobs; None takes the default.
        reporter: receives progress; None is silent.

    Returns:
        The document of ``snellen parity --json``; ``verdict`` is ``equivalent`` or
        ``different``.

    Raises:
        ConfigError, InputError: a model or the dataset cannot be used.
    """
    settings = ParitySettings(
        dataset={"path": str(dataset), "format": dataset_format, "limit": limit},
        tolerance=Tolerance(tolerance, pixels, compared_from=confidence),
        device=device,
        trust=trust,
    )
    return compare_models(str(a), str(b), settings, database=database, reporter=reporter)
