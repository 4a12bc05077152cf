"""The operating point of a detector: exact counts at every threshold, and the curves."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from snellen.metrics.detection.operating_point import CONFIDENCES
from snellen.pipelines.runs.reading.operating import operating_point
from snellen.serve.api.runs.images import OpenedRun
from snellen.serve.ui.run_page.chart_shapes import (
    ChartShapes,
    by_confidence,
    precision_recall,
    reliability,
)
from snellen.serve.ui.run_page.computed import Computed, Counts
from snellen.store.views import RunView

STEP = 0.01
_RIGHT, _WRONG = 56, 44
"""Heights of the histograms above and below the slider, in units of their SVG."""


@dataclass(frozen=True, slots=True)
class Slider:
    """A confidence threshold over the histogram of predictions.

    Attributes:
        counts: at every threshold.
        at: place of the shown threshold in `CONFIDENCES`.
        first: place of the lowest threshold whose counts are known.
        setting: threshold of the run, if it is a step of the slider; its text.
        best: threshold with the largest F1; its text.
        overlap: minimum overlap of a match.
        right, wrong: paths of the histograms of true and of false positives.
        by_class: classes have thresholds of their own, which the slider does not.
    """

    counts: Counts
    at: int
    first: int
    setting: str
    best: str
    overlap: float
    right: str
    wrong: str
    by_class: bool

    @property
    def value(self) -> float:
        """Return the shown threshold."""
        return float(CONFIDENCES[self.at])

    @property
    def least(self) -> float:
        """Return the lowest threshold."""
        return float(CONFIDENCES[self.first])

    @property
    def tp(self) -> int:
        """Return the true positives at the shown threshold."""
        return int(self.counts.tp[self.at])

    @property
    def fp(self) -> int:
        """Return the false positives at the shown threshold."""
        return int(self.counts.fp[self.at])

    @property
    def fn(self) -> int:
        """Return the missed objects at the shown threshold."""
        return self.counts.support - self.tp

    @property
    def precision(self) -> float:
        """Return the precision at the shown threshold; 0 without predictions."""
        return self.tp / (self.tp + self.fp or 1)

    @property
    def recall(self) -> float:
        """Return the recall at the shown threshold."""
        return self.tp / self.counts.support

    @property
    def f1(self) -> float:
        """Return F1 at the shown threshold."""
        return 2 * self.tp / (2 * self.tp + self.fp + self.fn)

    @property
    def document(self) -> dict[str, object]:
        """Return the counts for the element ``sn-threshold``."""
        tp, fp = self.counts.tp.tolist(), self.counts.fp.tolist()
        return {"step": STEP, "n": self.counts.support, "tp": tp, "fp": fp}


@dataclass(frozen=True, slots=True)
class Operating:
    """The section for the template; ``slider`` is None for a task without objects."""

    slider: Slider | None
    charts: list[ChartShapes]


def read_operating(computed: Computed, opened: OpenedRun, at: float | None = None) -> Operating:
    """Read what the section shows.

    Args:
        computed: numbers of runs.
        opened: the run.
        at: threshold of the slider; None for the run's.

    Raises:
        InputError: RUN_NOT_COMPLETED.
    """
    run = opened.run
    assert isinstance(run, RunView)
    curves = computed.curves(opened)
    slider = None
    if operating_point(run) is not None:
        counts = computed.counts(opened)
        slider = make_slider(run, counts, at) if counts.support else None
    marks = ((slider.recall, slider.precision), (slider.value, slider.f1)) if slider else None
    charts = [
        precision_recall(curves, marks[0] if marks else None),
        by_confidence(curves, marks[1] if marks else None),
    ]
    if slider is None:
        charts.insert(0, reliability(curves))
    return Operating(slider, [chart for chart in charts if chart is not None])


def make_slider(run: RunView, counts: Counts, at: float | None = None) -> Slider:
    """Set the slider to a threshold, by default the run's, or to the step next to it."""
    point = operating_point(run)
    assert point is not None
    last = len(CONFIDENCES) - 2
    first = min(max(1, math.ceil(round(counts.least / STEP, 6))), last)
    wanted = point.confidence if at is None else at
    place = min(max(first, round(wanted / STEP)), last)
    own = min(max(first, round(point.confidence / STEP)), last)
    is_step = math.isclose(own * STEP, point.confidence, abs_tol=1e-9)
    scores = 2 * counts.tp / np.maximum(counts.tp + counts.fp + counts.support, 1)
    best = first + int(scores[first : last + 1].argmax())
    right, wrong = (_falls(values) for values in (counts.tp, counts.fp))
    most = float(right[first:].max(initial=0)) or float(wrong[first:].max(initial=0)) or 1.0
    return Slider(
        counts=counts,
        at=place,
        first=first,
        setting=f"{point.confidence:.2f}" if is_step else "",
        best=f"{CONFIDENCES[best]:.2f}" if scores[best] else "",
        overlap=point.overlap,
        right=_bars(right, most, up=True),
        wrong=_bars(wrong, most, up=False),
        by_class=bool(point.class_confidences),
    )


def _falls(
    cumulative: np.ndarray[tuple[int], np.dtype[np.int64]],
) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Return the number of predictions in each bin: int64, (100,)."""
    found: np.ndarray[tuple[int], np.dtype[np.int64]] = cumulative[:-1] - cumulative[1:]
    found[-1] += cumulative[-1]
    return found


def _bars(counts: np.ndarray[tuple[int], np.dtype[np.int64]], most: float, *, up: bool) -> str:
    """Return a path of bars whose heights are square roots of counts, cut at the top."""
    limit = _RIGHT if up else _WRONG
    heights = np.minimum(np.sqrt(counts / most) * _RIGHT, limit).round(1).tolist()
    drawn = [(10 * n + 1, height) for n, height in enumerate(heights) if height]
    if up:
        return "".join(f"M{x} {_RIGHT}V{_RIGHT - h:g}h8V{_RIGHT}z" for x, h in drawn)
    return "".join(f"M{x} 0v{h:g}h8V0z" for x, h in drawn)
