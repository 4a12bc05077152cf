"""The errors of a classification run: confused classes and the most confident mistakes."""

from __future__ import annotations

from dataclasses import replace

from snellen.adapters.errors import ConfigError
from snellen.analysis.comparison.classified import read_classified
from snellen.analysis.operating_points.image_thresholds import scan_images
from snellen.analysis.plots.class_curves import SCORE_COLUMNS, class_curves, read_scores
from snellen.analysis.plots.curves import RunCurves
from snellen.analysis.record import AnalysisRecord, Parts, RunFiles
from snellen.metrics.class_filter import class_ids
from snellen.metrics.errors.classified import CLASSIFIED_COLUMNS, classified
from snellen.metrics.errors.counts import MistakeSummary, confused_pairs
from snellen.metrics.errors.instance_views import of_cell
from snellen.metrics.errors.paging import Paging
from snellen.pipelines.config.loader import build_config

_EXAMPLES = 3


class ClassificationErrors:
    """The errors of a classification run; see `snellen.analysis.record.RunErrors`."""

    has_background = False

    def __init__(self, files: RunFiles) -> None:
        self._files = files
        classes = build_config(files.run.config).metrics.classes
        self._class_ids = class_ids(classes, files.owner.class_names or ())

    def summary(self, min_confidence: float | None, top: int) -> MistakeSummary:
        """Count confused pairs of classes and keep the most confident mistakes.

        Raises:
            ConfigError: MIN_CONFIDENCE, a minimum confidence was given.
        """
        run, names = self._files.run, self._files.names
        if min_confidence is not None:
            raise ConfigError(
                "MIN_CONFIDENCE",
                f"a minimum confidence applies to objects, and run {run.id} classifies images. "
                "Filter its images by confidence with `snellen images`.",
            )
        pairs = confused_pairs(run.confusion_matrix, names, top)
        most_confident = Paging(0, top, "confidence")
        examples = [Paging(0, _EXAMPLES, "confidence") for _ in pairs]
        for table in self._files.results.iter_units(CLASSIFIED_COLUMNS):
            found = classified(table, self._class_ids)
            wrong = found.take(found.wrong)
            most_confident.add(wrong, table, names)
            for pair, paging in zip(pairs, examples, strict=True):
                chosen = wrong.take(of_cell(wrong, pair.true_id, pair.predicted_id))
                paging.add(chosen, table, names)
        shown = [
            replace(pair, examples=paging.page().instances)
            for pair, paging in zip(pairs, examples, strict=True)
        ]
        page = most_confident.page()
        return MistakeSummary(page.total, shown, page.instances)

    def bucket(self, name: str, min_confidence: float | None) -> Parts:
        """Raise ConfigError BUCKET_TASK: a classifier has no TIDE buckets."""
        raise ConfigError(
            "BUCKET_TASK",
            f"bucket {name}: run {self._files.run.id} classifies images. Expected a detection, "
            "segmentation or pose run. Choose a cell of the confusion matrix by its true and "
            "predicted class instead.",
        )

    def cells(self) -> Parts:
        """List the images that the confusion matrix counts."""
        for table in self._files.results.iter_units(CLASSIFIED_COLUMNS):
            yield table, classified(table, self._class_ids)

    def curves(self) -> RunCurves:
        """Compute the data of the charts, from the stored scores."""
        names = self._files.names
        parts = self._files.results.iter_units(SCORE_COLUMNS)
        scores = read_scores(parts, len(names), self._class_ids)
        return class_curves(self._files.run.details or {}, names, scores)


CLASSIFICATION = AnalysisRecord(
    errors=ClassificationErrors,
    compare=read_classified,
    worst_first="confidence",
    thresholds=scan_images,
)
