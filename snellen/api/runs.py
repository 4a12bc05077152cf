"""The functions and the class that ``import snellen`` offers."""

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
    """A test run: its row, and its result files read on demand."""

    __test__ = False  # not a test case, whatever its name looks like to pytest

    def _open(self, db: Database) -> Results:
        return open_results(db, self._view)

    def _files(self, db: Database) -> list[Path]:
        return unit_files(db, self._view)

    @property
    def metrics(self) -> dict[str, Any]:
        """Metric key -> value; None where a metric does not exist."""
        return dict(self._view.metrics or {})

    @property
    def intervals(self) -> dict[str, Any]:
        """Metric key -> [low, high] at ``metrics.confidence_level``."""
        return dict(self._view.intervals or {})

    @property
    def per_class_metrics(self) -> dict[str, Any]:
        """Class name -> its precision, recall, f1 and support."""
        return dict(self._view.per_class_metrics or {})

    @property
    def confusion_matrix(self) -> Any:
        """Counts, rows true, columns predicted; sparse above 1,000 classes."""
        return self._view.confusion_matrix

    def errors(
        self, *, min_confidence: float = 0.0, top: int = 10
    ) -> BucketSummary | MistakeSummary:
        """What kinds of errors there are, read from the result files.

        Of objects: TIDE's buckets with their counts, images and gain of AP. Of a classifier: the
        most confused pairs of classes and the most confident mistakes.

        Args:
            min_confidence: of objects; leaves less confident predictions out. 0 gives the counts
                of ``row.details["tide"]``.
            top: of a classifier: so many pairs and mistakes.

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
        """The errors of a bucket, or exactly what a cell of the confusion matrix counts.

        ``run.instances(bucket="Loc")``; ``run.instances(true="cat", predicted="dog")``;
        ``run.instances(true="cat", predicted="background")`` are the cats that were not found.

        Raises:
            ConfigError, InputError: see `snellen.analysis.error_analysis.ErrorAnalysis.instances`;
            `snellen.analysis.error_analysis.InstanceQuery` explains the arguments.
        """
        with opened(self._database) as db:
            query = InstanceQuery(bucket, true, predicted, min_confidence, sort, offset, limit)
            return ErrorAnalysis(db, self._view).instances(query)

    def __repr__(self) -> str:
        primary = f"{self._view.primary_metric_name}={self._view.primary_metric_value}"
        return f"TestRun(id={self.id}, name={self.name!r}, status={self.status!r}, {primary})"


def open_run(reference: int | str = "latest", *, database: str | None = None) -> TestRun:
    """A stored run by id, name or ``latest``.

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
        checkpoint: a local file.
        architecture: where the checkpoint does not hold it.
        class_names: names in output order.
        device: ``cpu`` or ``cuda``; None takes a GPU if there is one.
        precision: ``fp32``, ``fp16`` or ``bf16``.
        preprocess: overrides of the framework's own, as in the configuration.
        options: further keys of this adapter.

    Raises:
        ConfigError, InputError: what is wrong with the model.
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
    """Compare two models' answers on the same images: a checkpoint and its export, say.

    Args:
        a, b: a checkpoint file, a training job (id, name or run directory), ``JOB:CHECKPOINT``,
            or a YAML configuration with the model.
        dataset: the images; labels are used where they fit.
        dataset_format: as ``dataset.format`` of a configuration.
        limit: so many images, spread evenly over the set.
        tolerance: largest difference of a confidence.
        pixels: largest difference of a box's side or a keypoint's coordinate.
        confidence: detections below it, in both, are not compared.
        device: ``cpu``, or ``cuda``, which may round more than the tolerance.
        trust: TorchScript files may be loaded, although they are code.
        database: of the run tables, where the jobs are.
        reporter: told about progress; silent by default.

    Returns:
        The document of ``snellen parity --json``; ``verdict`` is ``equivalent`` or
        ``different``.

    Raises:
        ConfigError, InputError: a model or the data set cannot be used.
    """
    settings = ParitySettings(
        dataset={"path": str(dataset), "format": dataset_format, "limit": limit},
        tolerance=Tolerance(tolerance, pixels, compared_from=confidence),
        device=device,
        trust=trust,
    )
    return compare_models(str(a), str(b), settings, database=database, reporter=reporter)
