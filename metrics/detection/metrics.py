"""The metrics of detection, instance segmentation and poses.

- COCO's numbers, for boxes without a prefix, masks with ``mask_``, poses with ``oks_``: see
  `snellen.metrics.detection.coco`. Ultralytics' AP: see
  `snellen.metrics.detection.ultralytics_ap`.
- At the operating point, over all classes together and by the task's own overlap (boxes, masks
  or poses): precision, recall, f1, and best_f1 with its confidence, see
  `snellen.metrics.detection.operating_point`. The number of predictions is not limited there.
  Every class is counted at its own threshold; best_f1 has one confidence for all classes.
- The confusion matrix has K + 1 rows (true) and columns (predicted), the last one for the
  background: see `snellen.metrics.detection.confusion`.
- details: ``pr_curve`` (precision at recalls 0, .01, ... 1 at an overlap of .5), ``f1_curve``
  (F1 at confidences 0, .01, ... 1), each for the set (the mean over classes; all classes
  together) and by class up to 1,000, ``tide``, see `snellen.metrics.detection.tide`, and
  ``counted_objects``, the number of ground truth objects without crowds and ignored ones.
- coverage = scored / total. A metric that is not defined is None.
- With the option ``classes`` (names), objects and predictions of other classes are dropped before
  anything is matched, as pycocotools does with ``params.catIds``; per-class tables list these
  classes alone, and ``details["classes"]`` counts the objects that were excluded.

Intervals are those of the bootstrap over images, or over groups of images with the option
``group``: of the mAPs, see `snellen.metrics.statistics.bootstrap`; of precision, recall and f1,
also by class, see `snellen.metrics.statistics.count_intervals`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import pyarrow as pa

from snellen.metrics.class_filter import class_ids
from snellen.metrics.classification.confusion import matrix, unique_names
from snellen.metrics.detection.coco_summary import KindNumbers, class_numbers, kind_numbers
from snellen.metrics.detection.counting import count
from snellen.metrics.detection.curves import details
from snellen.metrics.detection.operating_point import Ranked, ranked_classes, scores
from snellen.metrics.detection.options import PREFIX, DetectionOptions, options_of
from snellen.metrics.detection.state import DetectionState, OverlapState
from snellen.metrics.matching.instances import instance_columns
from snellen.metrics.matching.overlaps import Kind
from snellen.metrics.parity.object_differences import compare_objects
from snellen.metrics.record import MetricsRecord
from snellen.metrics.statistics.bootstrap import resampled
from snellen.metrics.statistics.count_intervals import count_intervals
from snellen.metrics.statistics.proportions import Interval

Counts = tuple[int, int, int]
"""True positives, false positives and missed objects."""


@dataclass(frozen=True)
class DetectionReport:
    """The metrics of a finished run; see `compute`."""

    metrics: dict[str, float | None]
    intervals: dict[str, list[float] | None]
    per_class: dict[str, dict[str, Any]]
    confusion_matrix: list[list[int]] | dict[str, Any]
    details: dict[str, Any]
    primary_metric_name: str
    primary_metric_value: float | None
    total_images: int
    scored_images: int
    failed_images: int
    confidence_level: float
    loss: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the report as JSON types."""
        return asdict(self)


def compute(
    state: DetectionState,
    class_names: Sequence[str],
    options: DetectionOptions,
    *,
    total_images: int,
    failed_images: int,
) -> DetectionReport:
    """Compute all metrics of a set of images; the module lists them.

    Args:
        state: of the whole set.
        class_names: K names by class id; `unique_names` tells shared ones apart.
        options: those that the state was built with.
        total_images: number of images of the set, scored or not.
        failed_images: number of images without a prediction.

    Raises:
        ValueError: arguments that contradict each other, or an image counted twice.

    Example:
        >>> from snellen.metrics.detection.counting import count
        >>> from snellen.metrics.examples import detection_rows
        >>> options = options_of(["bbox"], bootstrap=0)
        >>> state = count(detection_rows(), 2, options)
        >>> report = compute(state, ["a", "b"], options, total_images=2, failed_images=0)
        >>> round(report.metrics["mAP50"], 3), report.confusion_matrix
        (0.5, [[1, 0, 0], [1, 0, 0], [0, 1, 0]])
    """
    _check(state, class_names, total_images, failed_images)
    parts = {kind: state.overlaps[kind].by_image() for kind in options.kinds}
    numbers = {
        kind: kind_numbers(part, kind, state.num_classes, options) for kind, part in parts.items()
    }
    own = parts[options.own]
    whole, classes = ranked_classes(own.detections, own.by_class("counted", state.num_classes))
    names, limit = unique_names(class_names), options.thresholds.of_class
    counts = [ranked.counts(limit(number)) for number, ranked in enumerate(classes)]
    of_classes, intervals = _count_intervals(own, state.num_classes, options)
    metrics = _whole_scores(whole, counts)
    for of_kind in reversed(numbers.values()):  # the metrics of boxes come first
        metrics, intervals = of_kind.metrics | metrics, of_kind.intervals | intervals
    metrics["coverage"] = state.scored / total_images if total_images else None
    primary = f"{PREFIX[options.own]}mAP50-95{options.suffix(options.own)}"
    charts = details(own, names, whole, classes, numbers[options.own].coco)
    return DetectionReport(
        metrics=metrics,
        intervals=intervals,
        per_class=_per_class(
            names, numbers, list(zip(classes, counts, of_classes, strict=True)), options
        ),
        confusion_matrix=matrix(state.num_classes + 1, state.cells, state.cell_counts),
        details=_completed(charts, names, state, options, whole.support),
        primary_metric_name=primary,
        primary_metric_value=metrics[primary],
        total_images=total_images,
        scored_images=state.scored,
        failed_images=failed_images,
        confidence_level=options.confidence_level,
    )


def _per_class(
    names: Sequence[str],
    numbers: Mapping[Kind, KindNumbers],
    classes: Sequence[tuple[Ranked, Counts, dict[str, Interval]]],
    options: DetectionOptions,
) -> dict[str, dict[str, Any]]:
    scored = range(len(names)) if options.class_ids is None else options.class_ids
    return {
        names[number]: {"class_id": number}
        | class_numbers(numbers, number)
        | scores(*classes[number][:2])
        | classes[number][2]
        for number in scored
    }


def _completed(
    charts: dict[str, Any],
    names: Sequence[str],
    state: DetectionState,
    options: DetectionOptions,
    objects: int,
) -> dict[str, Any]:
    """Return the details with the number of objects, and of the scored classes alone."""
    charts["counted_objects"] = objects
    if options.class_ids is None:
        return charts
    shown = [names[class_id] for class_id in options.class_ids]
    return _of_classes(charts, shown, state.excluded)


def _of_classes(charts: dict[str, Any], shown: Sequence[str], excluded: int) -> dict[str, Any]:
    """Return the details with the curves of the scored classes alone."""
    curves = {name: charts[name]["classes"] for name in ("pr_curve", "f1_curve")}
    kept = {
        name: {**charts[name], "classes": {key: of[key] for key in shown if key in of}}
        for name, of in curves.items()
    }
    return {**charts, **kept, "classes": {"names": list(shown), "excluded_objects": excluded}}


def _check(
    state: DetectionState, class_names: Sequence[str], total_images: int, failed_images: int
) -> None:
    if len(class_names) != state.num_classes:
        raise ValueError(f"{len(class_names)} class names. Expected {state.num_classes}.")
    if failed_images < 0 or state.scored + failed_images > total_images:
        raise ValueError(
            f"{state.scored} scored and {failed_images} failed of {total_images} images. Expected "
            "scored + failed <= total."
        )


def _count_intervals(
    own: OverlapState, num_classes: int, options: DetectionOptions
) -> tuple[list[dict[str, Interval]], dict[str, Interval]]:
    """Return the intervals of precision, recall and F1 by class, and those of the whole set."""
    found, sampling = own.detections, options.sampling
    included = options.thresholds.reached(found["class_id"], found["confidence"])
    blocks = resampled(own, sampling)
    *of_classes, whole = count_intervals(own, num_classes, included, blocks, sampling)
    return [
        {f"{key}_interval": interval for key, interval in one.items()} for one in of_classes
    ], whole


def _whole_scores(whole: Ranked, counts: Sequence[Counts]) -> dict[str, float | None]:
    tp, fp, fn = (sum(column) for column in zip(*counts, strict=True))
    values = scores(whole, (tp, fp, fn))
    keys = ("precision", "recall", "f1", "best_f1", "best_f1_confidence")
    return {key: values[key] for key in keys}


class DetectionMetrics:
    """The metrics of tasks with objects; see `snellen.metrics.record.TaskMetrics`."""

    def __init__(self, kinds: Sequence[Kind], **options: Any) -> None:
        """Take the options of `snellen.metrics.detection.options`; others are ignored.

        Args:
            kinds: the overlaps to measure by; the last one is the task's own.
            options: the ``metrics`` section of a configuration.

        Raises:
            ValueError: an option out of range.
        """
        self._options = options_of(kinds, **options)
        self._kinds, self._configured = tuple(kinds), options
        group = self._options.group
        grouped = () if group is None else ("image_id", group)
        self.columns: Sequence[str] = (*instance_columns(self._options.kinds), *grouped)

    def state(self, table: pa.Table, class_names: Sequence[str]) -> DetectionState:
        """Count one part; see `snellen.metrics.detection.counting.count`."""
        return count(table, len(class_names), self._chosen(class_names))

    def merge(self, states: Iterable[DetectionState]) -> DetectionState:
        """Merge the states of parts; at least one."""
        return DetectionState.merge_all(states)

    def compute(
        self,
        state: DetectionState,
        class_names: Sequence[str],
        *,
        total_images: int,
        failed_images: int,
    ) -> DetectionReport:
        """Compute the report; see `compute`."""
        return compute(
            state,
            class_names,
            self._chosen(class_names),
            total_images=total_images,
            failed_images=failed_images,
        )

    def _chosen(self, class_names: Sequence[str]) -> DetectionOptions:
        chosen = class_ids(self._configured.get("classes"), class_names)
        given = {**self._configured, "class_ids": chosen, "class_names": class_names}
        return options_of(self._kinds, **given)


def _record(*kinds: Kind) -> MetricsRecord:
    return MetricsRecord(partial(DetectionMetrics, kinds), compare_objects, kinds)


OBJECT_DETECTION = _record("bbox")
INSTANCE_SEGMENTATION = _record("bbox", "segm")
POSE_ESTIMATION = _record("bbox", "keypoints")
