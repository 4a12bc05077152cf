"""The metrics of image classification: accuracy, F1, loss and calibration.

Definitions, with tp, support (images of a class) and predicted (images predicted as it):

- precision = tp / predicted, 0 for a class that has images and is never predicted; recall =
  tp / support; F1 = 2 tp / (support + predicted).
- A class without images has None for all three, and is in no average. So macro averages are
  the plain means over the classes that occur in the labels (scikit-learn's with ``labels``
  set to those and ``zero_division=0``), weighted ones are weighted by support.
- accuracy, top5_accuracy: with fewer than five classes the top five are all of them.
- loss: mean cross-entropy (natural logarithm) of the images that have a finite one.
- ece: see `snellen.metrics.classification.calibration.expected_calibration_error`.
- coverage = scored / total; the only metric that failed images enter.
- With the option ``classes`` (names), the images of these true classes alone are scored, whatever
  they were predicted as. Per-class tables list these classes, ``details["classes"]`` counts the
  images that were excluded, and they are no part of the total of coverage.

Intervals are Wilson's for accuracy and top5_accuracy, and normal for loss; other metrics have
none. With the option ``group`` all metrics but coverage have intervals from draws of groups, see
`snellen.metrics.classification.grouped_counts`. Without scored images every metric but coverage
is None.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import pyarrow as pa

from snellen.metrics.class_filter import class_ids
from snellen.metrics.classification.calibration import expected_calibration_error, reliability_bins
from snellen.metrics.classification.confusion import (
    class_counts,
    confusion_matrix,
    most_confused,
    per_class,
)
from snellen.metrics.classification.grouped_counts import group_intervals
from snellen.metrics.classification.state import ECE_BINS, ClassificationState
from snellen.metrics.classification.tables import CLASSIFICATION_COLUMNS, classification_state
from snellen.metrics.parity.class_differences import compare_classes
from snellen.metrics.record import MetricsRecord
from snellen.metrics.statistics.draws import RESAMPLES, Sampling
from snellen.metrics.statistics.intervals import mean_interval, wilson

PRIMARY_METRIC = "accuracy"
_OPTIONS = ("confidence_level", "ece_bins", "group", "seed")


@dataclass(frozen=True)
class ClassificationOptions:
    """The settings of classification metrics.

    Attributes:
        confidence_level: of the two-sided intervals.
        ece_bins: number of equal bins of the confidence.
        class_ids: the classes whose images are scored, rising; None for all.
        group: metadata column of dependent images; None for none.
        resamples: number of draws of groups.
        seed: of the draws.
    """

    confidence_level: float = 0.95
    ece_bins: int = ECE_BINS
    class_ids: tuple[int, ...] | None = None
    group: str | None = None
    resamples: int = RESAMPLES
    seed: int = 0

    @property
    def sampling(self) -> Sampling:
        """The settings of the draws."""
        return Sampling(self.resamples, self.confidence_level, self.seed)


@dataclass(frozen=True)
class ClassificationReport:
    """The metrics of a finished classification run; see `compute`."""

    metrics: dict[str, float | None]
    intervals: dict[str, list[float] | None]
    per_class: dict[str, dict[str, Any]]
    confusion_matrix: list[list[int]] | dict[str, Any]
    reliability: list[dict[str, Any]]
    most_confused: list[dict[str, Any]]
    primary_metric_name: str
    primary_metric_value: float | None
    loss: float | None
    total_images: int
    scored_images: int
    failed_images: int
    confidence_level: float
    classes: dict[str, Any] | None = None

    @property
    def details(self) -> dict[str, Any]:
        """The data of charts and lists."""
        found = {"reliability": self.reliability, "most_confused": self.most_confused}
        return found if self.classes is None else {**found, "classes": self.classes}

    def to_dict(self) -> dict[str, Any]:
        """Return the report as JSON types."""
        return asdict(self)


def compute(
    state: ClassificationState,
    class_names: Sequence[str],
    options: ClassificationOptions,
    *,
    total_images: int,
    failed_images: int,
) -> ClassificationReport:
    """Compute all metrics of a set of images; the module defines them.

    Args:
        state: of the whole set.
        class_names: K names, in the order of the class ids. Per-class keys are these names; one
            that several classes share gets its id: ``crane [134]``.
        options: those that the state was built with.
        total_images: number of images of the set, scored or not.
        failed_images: number of images without a prediction.

    Raises:
        ValueError: arguments that contradict each other.

    Example:
        >>> from snellen.metrics.classification.tables import classification_state
        >>> from snellen.metrics.examples import classification_rows
        >>> state = classification_state(classification_rows(), 2)
        >>> report = compute(
        ...     state, ["cat", "dog"], ClassificationOptions(), total_images=4, failed_images=0
        ... )
        >>> report.metrics["accuracy"], report.metrics["macro_recall"], report.metrics["loss"]
        (0.75, 0.75, 0.5)
    """
    _check(state, class_names, total_images, failed_images, options.ece_bins)
    metrics = {
        **_averages(state),
        "ece": expected_calibration_error(state),
        "coverage": _ratio(state.scored, total_images - state.excluded),
    }
    of_class, intervals = _with_intervals(state, class_names, options)
    classes: dict[str, Any] | None = None
    if options.class_ids is not None:
        of_class = {k: v for k, v in of_class.items() if v["class_id"] in options.class_ids}
        classes = {"names": list(of_class), "excluded_images": state.excluded}
    return ClassificationReport(
        metrics=metrics,
        intervals=intervals,
        per_class=of_class,
        confusion_matrix=confusion_matrix(state),
        reliability=reliability_bins(state),
        most_confused=most_confused(state, class_names),
        primary_metric_name=PRIMARY_METRIC,
        primary_metric_value=metrics[PRIMARY_METRIC],
        loss=metrics["loss"],
        total_images=total_images,
        scored_images=state.scored,
        failed_images=failed_images,
        confidence_level=options.confidence_level,
        classes=classes,
    )


def _check(
    state: ClassificationState,
    class_names: Sequence[str],
    total_images: int,
    failed_images: int,
    ece_bins: int,
) -> None:
    if len(class_names) != state.num_classes:
        raise ValueError(f"{len(class_names)} class names. Expected {state.num_classes}.")
    if len(state.bin_counts) != ece_bins:
        raise ValueError(
            f"the state has {len(state.bin_counts)} confidence bins. Expected {ece_bins}."
        )
    if failed_images < 0 or state.scored + failed_images > total_images:
        raise ValueError(
            f"{state.scored} scored and {failed_images} failed of {total_images} images. Expected "
            "scored + failed <= total."
        )


def _averages(state: ClassificationState) -> dict[str, float | None]:
    support, predicted, right = class_counts(state)
    present = support > 0
    s, p, r = support[present].tolist(), predicted[present].tolist(), right[present].tolist()
    values = {
        "precision": [hit / made if made else 0.0 for hit, made in zip(r, p, strict=True)],
        "recall": [hit / there for hit, there in zip(r, s, strict=True)],
        "f1": [2 * hit / (made + there) for hit, made, there in zip(r, p, s, strict=True)],
    }
    metrics: dict[str, float | None] = {
        "accuracy": _ratio(sum(r), state.scored),
        "top5_accuracy": _ratio(state.top5_correct, state.top5_seen),
    }
    for name, numbers in values.items():
        metrics[f"macro_{name}"] = _ratio(math.fsum(numbers), len(s))
    for name, numbers in values.items():
        weighted = math.fsum(number * weight for number, weight in zip(numbers, s, strict=True))
        metrics[f"weighted_{name}"] = _ratio(weighted, state.scored)
    metrics["loss"] = _ratio(state.loss_sum.value, state.loss_count)
    return metrics


def _ratio(part: float, whole: int) -> float | None:
    return part / whole if whole else None


def _with_intervals(
    state: ClassificationState, class_names: Sequence[str], options: ClassificationOptions
) -> tuple[dict[str, dict[str, Any]], dict[str, list[float] | None]]:
    """Return the numbers of the classes and the intervals of the metrics."""
    of_class = per_class(state, class_names, options.confidence_level)
    if state.grouped is None:
        return of_class, _intervals(state, options.confidence_level)
    found = group_intervals(state.grouped, state.num_classes, options.ece_bins, options.sampling)
    return {name: found.of_class(values) for name, values in of_class.items()}, found.metrics


def _intervals(state: ClassificationState, level: float) -> dict[str, list[float] | None]:
    right = int(class_counts(state)[2].sum())
    return {
        "accuracy": wilson(right, state.scored, level),
        "top5_accuracy": wilson(state.top5_correct, state.top5_seen, level),
        "loss": mean_interval(
            state.loss_sum.value, state.loss_squares.value, state.loss_count, level
        ),
    }


class ClassificationMetrics:
    """The metrics of image classification; see `snellen.metrics.record.TaskMetrics`."""

    def __init__(self, **options: Any) -> None:
        """Take the options of `ClassificationOptions`, the classes by name.

        ``bootstrap`` is the number of resamples; None for the default. Options of other tasks are
        ignored.
        """
        self._classes: Sequence[str] | None = options.get("classes")
        resamples = options.get("bootstrap")
        known = {key: options[key] for key in _OPTIONS if key in options}
        self._options = ClassificationOptions(
            **known, resamples=RESAMPLES if resamples is None else resamples
        )
        group = self._options.group
        grouped = () if group is None else ("image_id", group)
        self.columns: Sequence[str] = (*CLASSIFICATION_COLUMNS, *grouped)

    def state(self, table: pa.Table, class_names: Sequence[str]) -> ClassificationState:
        """Count one part; see `snellen.metrics.classification.tables.classification_state`."""
        options = self._chosen(class_names)
        return classification_state(
            table,
            len(class_names),
            ece_bins=options.ece_bins,
            class_ids=options.class_ids,
            group=options.group,
        )

    def merge(self, states: Iterable[ClassificationState]) -> ClassificationState:
        """Merge the states of parts; at least one."""
        return ClassificationState.merge_all(states)

    def compute(
        self,
        state: ClassificationState,
        class_names: Sequence[str],
        *,
        total_images: int,
        failed_images: int,
    ) -> ClassificationReport:
        """Compute the report; see `compute`."""
        return compute(
            state,
            class_names,
            self._chosen(class_names),
            total_images=total_images,
            failed_images=failed_images,
        )

    def _chosen(self, class_names: Sequence[str]) -> ClassificationOptions:
        return replace(self._options, class_ids=class_ids(self._classes, class_names))


CLASSIFICATION = MetricsRecord(metrics=ClassificationMetrics, compare=compare_classes)
