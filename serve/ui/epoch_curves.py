"""Curves of a training run over its epochs, as SVG shapes."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from snellen.store.views import ValidationView

WIDTH, HEIGHT = 300, 178
"""Size of the plot in units of the SVG."""
_LINES = ("main", "second", "third", "many")
_STEPS = (1, 2, 3, 4, 6, 8, 10)
Series = list[tuple[int, float]]
Ticks = list[tuple[float, str]]


@dataclass(frozen=True, slots=True)
class EpochLine:
    """A line of a chart.

    Attributes:
        kind: class in the style sheet.
        name: of the metric.
        path: of the SVG.
        last: value at the last epoch.
    """

    kind: str
    name: str
    path: str
    last: float


@dataclass(frozen=True, slots=True)
class EpochChart:
    """A chart over epochs.

    Attributes:
        name: of its parts in the page.
        x, y: place and text of the ticks.
        mark: x, y and text of the best epoch of the first line.
    """

    name: str
    title: str
    lines: list[EpochLine]
    x: Ticks
    y: Ticks
    mark: tuple[float, float, str]


def epoch_charts(results: Sequence[ValidationView]) -> list[EpochChart]:
    """Return the metrics and the losses over the epochs; no chart for fewer than two epochs.

    Args:
        results: the epochs of a job; those without a number are not drawn.
    """
    epochs = [one for one in results if one.epoch is not None]
    made = (
        _chart("metrics", "Validation metrics", _metrics(epochs), max),
        _chart("losses", "Losses", _losses(epochs), min),
    )
    return [chart for chart in made if chart is not None]


def best_epoch(results: Sequence[ValidationView]) -> ValidationView | None:
    """Return the epoch with the highest primary metric; None if no epoch has one."""
    known = [one for one in results if one.primary_metric_value is not None]
    return max(known, key=lambda one: one.primary_metric_value or 0.0, default=None)


def _metrics(epochs: Sequence[ValidationView]) -> dict[str, Series]:
    """Return the primary metric and others that are fractions of 1."""
    names = [one.primary_metric_name for one in epochs if one.primary_metric_name]
    if not names:
        return {}
    name, found = names[0], {names[0]: _series(epochs, lambda one: one.primary_metric_value)}
    for key in _keys(epochs):
        column = _column(epochs, key)
        is_metric = key.startswith("metrics/") or key == "top5_accuracy"
        if is_metric and column != found[name] and all(0 <= value <= 1 for _, value in column):
            found[key.removeprefix("metrics/")] = column
    return dict(list(found.items())[: len(_LINES)])


def _losses(epochs: Sequence[ValidationView]) -> dict[str, Series]:
    """Return the loss of the validation and that of the training: the sum of its parts."""
    found = {"validation": _series(epochs, lambda one: one.overall_loss)}
    parts = [key for key in _keys(epochs) if key.startswith("train") and "loss" in key]

    def training(one: ValidationView) -> float | None:
        values = [(one.metrics or {}).get(key) for key in parts]
        known = [value for value in values if value is not None]
        return math.fsum(known) if known else None

    found["training"] = _series(epochs, training)
    return {name: series for name, series in found.items() if series}


def _keys(epochs: Sequence[ValidationView]) -> list[str]:
    return list(dict.fromkeys(key for one in epochs for key in one.metrics or {}))


def _column(epochs: Sequence[ValidationView], key: str) -> Series:
    return _series(epochs, lambda one: (one.metrics or {}).get(key))


def _series(
    epochs: Sequence[ValidationView], value: Callable[[ValidationView], float | None]
) -> Series:
    values = [(one.epoch, value(one)) for one in epochs]
    return [(epoch, y) for epoch, y in values if epoch is not None and y is not None]


def _chart(
    name: str, title: str, series: Mapping[str, Series], better: Callable[..., tuple[int, float]]
) -> EpochChart | None:
    longest = max((len(one) for one in series.values()), default=0)
    if longest < 2:
        return None
    epochs = [epoch for one in series.values() for epoch, _ in one]
    first, last = min(epochs), max(epochs)
    top = _top(max(value for one in series.values() for _, value in one))

    def place(point: tuple[int, float]) -> tuple[float, float]:
        x = WIDTH * (point[0] - first) / (last - first)
        return round(x, 1), round(HEIGHT * (1 - point[1] / top), 1)

    lines = [
        EpochLine(kind, key, "M" + "L".join(f"{x:g} {y:g}" for x, y in map(place, one)), one[-1][1])
        for kind, (key, one) in zip(_LINES, series.items(), strict=False)
        if one
    ]
    best = better(next(iter(series.values())), key=lambda point: point[1])
    middle = (first + last) // 2
    return EpochChart(
        name=name,
        title=title,
        lines=lines,
        x=[(place((epoch, 0))[0], f"{epoch:,}") for epoch in dict.fromkeys((first, middle, last))],
        y=[(round(HEIGHT * (1 - n / 4), 1), f"{top * n / 4:g}") for n in range(5)],
        mark=(*place(best), f"{best[1]:.3f} at epoch {best[0]:,}"),
    )


def _top(value: float) -> float:
    """Return the end of an axis from 0: a number with few digits, at least ``value``.

    >>> round(_top(0.83), 6), _top(3.4), _top(0.0)
    (1.0, 4.0, 1.0)
    """
    if value <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in _STEPS if step * power >= value * (1 - 1e-9))
